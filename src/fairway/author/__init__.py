"""The words that a user's file touches: tasks, pipelines, endpoints, and what is called inside them.

Every step imports this package. Keep it light: import no framework here.
"""
