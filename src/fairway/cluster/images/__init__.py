"""Images made without Docker: layers written in Python, pushed to a registry over HTTP.

`names` reads names of images. `registry` talks to a registry, `authorizing` gets its tokens and `credentials` finds the user's
logins. `layers` writes layers that are the same to the bit for the same content. `assembling` puts the image of Fairway
together, and `environments` adds the packages of a project to it. Nothing here knows of Kubernetes.
"""
