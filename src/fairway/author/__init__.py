"""What the user's file touches: tasks, pipelines, endpoints and the words used inside them.

Imported by every step, so it stays light and reaches no framework.
"""
