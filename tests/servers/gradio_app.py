"""A Gradio app on a port; with a second argument, behind a login with that password."""

import sys

import gradio

app = gradio.Interface(lambda text: text, "text", "text")
login = ("owner", sys.argv[2]) if len(sys.argv) > 2 else None
app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), auth=login, quiet=True)
