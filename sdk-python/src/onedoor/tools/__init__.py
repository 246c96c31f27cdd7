"""Gives a model the tools of a task, and runs the calls that it asks for.

docs/tool-calling.md shows whole programs for OpenAI and Anthropic. This package needs neither
their SDKs nor grpc: it takes any client that has tools() and invoke().
"""

from ._protocols import AnswerLike, AsyncClientLike, ClientLike, ToolLike
from ._toolbox import AsyncToolbox, Toolbox

__all__ = ["AnswerLike", "AsyncClientLike", "AsyncToolbox", "ClientLike", "ToolLike", "Toolbox"]
