"""An MCP server over HTTP on a port; with a second argument, it asks for that bearer token."""

import sys

import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer


class OneToken:
    """Knows one token."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the token may do, or None."""
        known = token == sys.argv[2]
        return AccessToken(token=token, client_id="owner", scopes=[]) if known else None


port = sys.argv[1]
if len(sys.argv) > 2:
    here = f"http://127.0.0.1:{port}"
    settings = AuthSettings(issuer_url="https://issuer.invalid", resource_server_url=f"{here}/mcp", required_scopes=[])
    server = MCPServer("notes", token_verifier=OneToken(), auth=settings)
else:
    server = MCPServer("notes")


@server.tool()
def read_note(name: str) -> str:
    """Read a note."""
    return name


uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=int(port), log_level="warning")
