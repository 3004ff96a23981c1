"""The templates of the chart, made from rendered manifests.

A setting that adds or removes lines is rendered a second time without it, and the lines that differ become a conditional. Each
branch is therefore exactly what Python renders.
"""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from extras import insert
from fields import CLOUD_STORES, FIELDS, changed, example_of, examples

from fairway.cluster import manifests, placing, pods, yaml
from fairway.cluster.kinds import Deployment, Object, Pod
from fairway.cluster.manifests import Settings
from fairway.cluster.podspec import Amounts, Container, Metadata, PodSpec
from fairway.spec.install import HTTP_PORT, SERVICE, STEP_ACCOUNT

TEST = "fairway-test"


def test_pod(settings: Settings) -> Pod:
    """Return the pod of `helm test`: one request to the Service, without rights and under the level `restricted`."""
    ask = f"import urllib.request as u; print(u.urlopen('http://{SERVICE}:{HTTP_PORT}/healthz', timeout=30).status)"
    small = {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
    return Pod(
        metadata=Metadata(
            name=TEST,
            namespace=settings.install.namespace,
            # The Service must not find the pod.
            labels={**manifests.labels(settings), "app.kubernetes.io/name": TEST},
            annotations={
                "helm.sh/hook": "test",
                "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
            },
        ),
        spec=PodSpec(
            containers=(
                Container(
                    name="test",
                    image=settings.install.image,
                    command=("python3", "-c", ask),
                    resources=Amounts(requests=small, limits=small),
                    security_context=pods.container_security(),
                    env=pods.environment({}),
                ),
            ),
            service_account_name=STEP_ACCOUNT,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pods.pod_security(settings.install.user),
            restart_policy="Never",
            tolerations=placing.tolerations_of(settings.install.architecture),
            node_selector=placing.selector_of(settings.install.architecture),
            image_pull_secrets=pods.pull_secrets(settings.install.pull_secrets),
        ),
    )


def documents(settings: Settings) -> dict[str, list[str]]:
    """Return the lines of each template, with the two JSON texts and their digest replaced by expressions."""
    objects: Sequence[Object] = manifests.render(settings)
    (deployment,) = (one for one in objects if isinstance(one, Deployment))
    digest = deployment.spec.template.metadata.annotations[manifests.CONFIG_HASH]
    derived = {
        settings.install.encode(): '{{ include "fairway.install" . | toRawJson }}',
        msgspec.json.encode(settings).decode(): '{{ include "fairway.settings" . | toRawJson }}',
        digest: '{{ printf "%s%s" (include "fairway.install" .) .Values.storeIdentity | sha256sum | trunc 16 | toRawJson }}',
    }
    found: dict[str, list[str]] = {}
    for one in (*objects, test_pod(settings)):
        text = yaml.write([one])
        for value, expression in derived.items():
            text = text.replace(_json(value), expression)
        name = "tests/answers" if one.kind == "Pod" else one.kind.lower()
        found.setdefault(name, []).extend(text.splitlines())
    return found


@dataclass(frozen=True)
class Block:
    """Lines that are there under a condition, and the lines that are there without it."""

    start: int
    end: int
    condition: str
    otherwise: list[str]


def composed(base: list[str], variants: Iterable[tuple[str, list[str]]]) -> list[str]:
    """Return lines in which the differences of variants are conditionals. The condition holds for the base."""
    blocks: list[Block] = []
    for condition, other in variants:
        matcher = difflib.SequenceMatcher(None, base, other, autojunk=False)
        for tag, start, end, first, last in matcher.get_opcodes():
            if tag != "equal":
                begin, finish = _from_its_head(base, start, end)
                blocks.append(Block(begin, finish, condition, other[first:last]))
    blocks.sort(key=lambda one: (one.start, -one.end))
    return _nested(base, 0, len(base), blocks)


def _negated(condition: str) -> str:
    """Return the condition that holds where another one does not."""
    if condition.startswith("not "):
        return condition.removeprefix("not ").removeprefix("(").removesuffix(")" if "(" in condition else "")
    return f"not ({condition})"


def _from_its_head(base: list[str], start: int, end: int) -> tuple[int, int]:
    """Return lines moved down to where they begin with the head of an item, if the lines there are the same."""
    while (
        start < end < len(base)
        and base[start] == base[end]
        and _indent(base[start]) > min(map(_indent, base[start:end]))
    ):
        start, end = start + 1, end + 1
    return start, end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _nested(base: list[str], start: int, end: int, blocks: list[Block]) -> list[str]:
    """Return the lines of a range, with its blocks, which are taken off the list."""
    lines: list[str] = []
    while blocks and blocks[0].start < end:
        block = blocks.pop(0)
        if block.start < start or block.end > end:
            raise SystemExit(f"charts/generate.py: the lines of {block.condition!r} overlap with others")
        lines += base[start : block.start]
        within = _nested(base, block.start, block.end, blocks)
        lines += [f"{{{{- if {block.condition} }}}}", *within] if within else []
        head = ["{{- else }}"] if within else [f"{{{{- if {_negated(block.condition)} }}}}"]
        lines += [*head, *block.otherwise] if block.otherwise else []
        lines.append("{{- end }}")
        start = block.end
    return lines + base[start:end]


def filled(lines: list[str]) -> list[str]:
    """Return lines with the expressions of Helm in place of the examples."""
    texts = {_json(one.example): one.text for one in FIELDS if isinstance(one.example, str)}
    for kind in CLOUD_STORES.values():
        texts |= {_json(value): texts[_json(example_of(path))] for path, value in kind.items()}
    numbers = {
        str(one.example): one.text for one in FIELDS if type(one.example) is int and one.value == "user"
    }
    uid, size = ("5e4711ed", 7919 * 2**20)
    texts |= {
        _json(examples().install.architecture): "{{ .Values.platform | base | toRawJson }}",
        _json(uid): '{{ include "fairway.uid" . | trunc 8 | toRawJson }}',
        _json(pods.format_bytes(size)): '{{ include "fairway.quantity" (include "fairway.size" .) | toRawJson }}',
        _json(pods.format_bytes(size + 2 * 2**30)):
            '{{ include "fairway.quantity" (add 2147483648 (include "fairway.size" .)) | toRawJson }}',
    }  # fmt: skip
    lists = {_json(one.example[0]): one for one in FIELDS if isinstance(one.example, tuple)}
    maps = {
        f"{_json(name)}: {_json(value)}": one
        for one in FIELDS if isinstance(one.example, dict) for name, value in one.example.items()
    }  # fmt: skip
    found: list[str] = []
    for line in lines:
        indent, value = re.fullmatch(r"(\s*(?:- )?(?:\S+: )?)(.*)", line).groups()  # type: ignore[union-attr]
        entry = maps.get(line.strip())
        if value in lists:
            found += [
                f"{{{{- range .Values.{lists[value].value} }}}}",
                f"{indent}{{{{ . | toRawJson }}}}",
                "{{- end }}",
            ]
        elif entry:
            room = " " * _indent(line)
            found += [f"{{{{- range $name, $text := .Values.{entry.value} }}}}",
                      f"{room}{{{{ $name | toRawJson }}}}: {{{{ $text | toRawJson }}}}", "{{- end }}"]  # fmt: skip
        else:
            found.append(indent + texts.get(value, numbers.get(value, value)))
    return found


def settings_text(tree: dict[str, Any], before: str = "") -> str:
    """Return the JSON text of settings with the expressions of Helm, in the order in which Python writes them."""
    parts: list[str] = []
    for name, value in tree.items():
        path = f"{before}{name}"
        field = next((one for one in FIELDS if one.path == path), None)
        if path == "install":
            text = '{{ include "fairway.install" . }}'
        elif field is not None:
            text = field.text
        else:
            text = (
                settings_text(value, f"{path}.") if isinstance(value, dict) and value else json.dumps(value)
            )
        parts.append(f"{_json(name)}:{text}")
    return f"{{{','.join(parts)}}}"


def templates(head: str) -> dict[str, str]:
    """Return the text of each template by its place. All begin with `head`."""
    settings = examples()
    variants = [
        (
            f"not .Values.{one.value}" if one.absent is True else f".Values.{one.value}",
            documents(changed(settings, one.path, one.absent)),
        )
        for one in FIELDS
        if one.absent is not None
    ]
    for kind, others in CLOUD_STORES.items():
        another = settings
        for path, value in others.items():
            another = changed(another, path, value)
        condition = f'not (and .Values.storeIdentity (hasPrefix "{kind}://" .Values.store))'
        variants.append((condition, documents(another)))
    made: dict[str, str] = {}
    for name, base in documents(settings).items():
        lines = composed(base, [(condition, other.get(name, [])) for condition, other in variants])
        check = ['{{- include "fairway.check" . }}'] if name == "configmap" else []
        made[f"templates/{name}.yaml"] = "\n".join([head, *check, *insert(name, filled(lines)), ""])
    tree = msgspec.to_builtins(settings)
    texts = {
        "fairway.install": settings_text(tree["install"], "install."),
        "fairway.settings": settings_text(tree),
    }
    defined = [f'{{{{- define "{name}" -}}}}\n{text}\n{{{{- end -}}}}' for name, text in texts.items()]
    return {**made, "templates/_settings.tpl": "\n".join([head, *defined, ""])}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
