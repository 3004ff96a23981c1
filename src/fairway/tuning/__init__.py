"""Search over parameters: `fw.search` asks Optuna for trials and runs them as steps of a pipeline.

This room knows the session of a run and not its engine. Only `study` knows Optuna.
"""
