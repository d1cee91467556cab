"""An assistant without a mind: the official client speaks to `mosaic-fed mcp`, and does what stdin says.

Arguments: the protocol's way (`auto` or `legacy`), then the command to start. Each line of stdin is a JSON object with `do`; each line
of stdout is what came of it. The server's stderr is this program's.
"""

import asyncio
import json
import sys

import mcp_types
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError


class Assistant:
    def __init__(self, client):
        self.client = client
        self.changes = 0

    async def do(self, order):
        what = order.pop("do")
        if what == "about":
            return {"version": self.client.protocol_version, "instructions": self.client.instructions}
        if what == "tools":
            tools = (await self.client.list_tools()).tools
            return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
        if what == "call":
            # The client itself holds what is structured to the tool's schema.
            result = await self.client.call_tool(order["name"], order.get("arguments", {}))
            return {
                "text": "\n".join(block.text for block in result.content),
                "value": result.structured_content,
                "is_error": bool(result.is_error),
            }
        if what == "templates":
            return [one.uri_template for one in (await self.client.list_resource_templates()).resource_templates]
        if what == "read":
            return [one.text for one in (await self.client.read_resource(order["uri"])).contents]
        if what == "changes":
            return self.changes
        raise ValueError(what)


async def listen(client, assistant):
    async with client.listen(tools_list_changed=True) as events:
        async for _ in events:
            assistant.changes += 1


async def main(mode, command):
    assistant = None

    async def heard(message):
        if isinstance(message, mcp_types.ToolListChangedNotification):
            assistant.changes += 1

    server = StdioServerParameters(command=command[0], args=command[1:])
    async with Client(server, mode=mode, message_handler=heard) as client:
        assistant = Assistant(client)
        listening = asyncio.create_task(listen(client, assistant)) if mode == "auto" else None
        lines = asyncio.get_running_loop()
        while line := await lines.run_in_executor(None, sys.stdin.readline):
            try:
                said = await assistant.do(json.loads(line))
            except MCPError as error:
                said = {"refused": error.error.message, "code": error.error.code}
            print(json.dumps(said), flush=True)
        if listening:
            listening.cancel()


asyncio.run(main(sys.argv[1], sys.argv[2:]))
