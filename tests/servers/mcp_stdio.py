"""An MCP server over standard input and output, for a proxy to start."""

from mcp.server.fastmcp import FastMCP

server = FastMCP("notes")


@server.tool()
def read_note(name: str) -> str:
    """Read a note."""
    return name


server.run()
