"""How values become artifacts and models become predictors, one file per framework."""

from fairway.formats.codecs import decode, encode
from fairway.formats.encoded import CODE_FORMATS, Encoded, kind_of
from fairway.formats.matplotlib import figure_svg, is_figure

__all__ = ["CODE_FORMATS", "Encoded", "decode", "encode", "figure_svg", "is_figure", "kind_of"]
