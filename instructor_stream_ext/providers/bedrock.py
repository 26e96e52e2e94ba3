"""Events of Amazon Bedrock's converse_stream: mappings with one key, the event's kind."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.providers.calls import Call
from instructor_stream_ext.providers.family import Family, UsageNames
from instructor_stream_ext.providers.plain import object_of
from instructor_stream_ext.providers.reader import Reading

__all__ = ["FAMILY", "BedrockReader"]


class BedrockReader(Reading):
    """Reads converse_stream events.

    Args:
        tools: Names of the tools in the request; None when the document is the text.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools)
        self._blocks: dict[int, dict[str, Any]] = {}
        self._by_block: dict[int, Call] = {}
        self._extra: dict[str, Any] = {}

    def read(self, chunk: Any) -> str:
        """Return the new text of the document in this event, "" if there is none."""
        self.alive = False
        for kind, event in chunk.items():
            if kind == "contentBlockDelta":
                return self._delta(event["contentBlockIndex"], event["delta"])
            if kind == "contentBlockStart":
                return self._start(event["contentBlockIndex"], event.get("start") or {})
            if kind == "contentBlockStop":
                return self._stop(event["contentBlockIndex"])
            if kind == "messageStop":
                self._close(event["stopReason"])
                self._extra |= event
            elif kind == "metadata":
                self._usage = event.get("usage") or self._usage
                self._extra |= event
            elif kind.endswith("Exception"):
                self._fail(kind, str(event.get("message") or event))
        return ""

    def completion(self) -> dict[str, Any]:
        """Return the answer so far, in the shape of converse's response."""
        answer: dict[str, Any] = {
            **self._extra,
            "output": {
                "message": {"role": "assistant", "content": [self._block(at) for at in sorted(self._blocks)]},
            },
            "stopReason": self.end.word if self.end else None,
        }
        if self._usage is not None:
            answer["usage"] = self._usage
        return answer

    def _start(self, at: int, start: dict[str, Any]) -> str:
        """Open a block; only tools announce themselves."""
        if tool := start.get("toolUse"):
            self._blocks[at] = {"toolUse": dict(tool)}
            self._by_block[at] = self._calls.open(tool.get("toolUseId") or "", tool.get("name") or "", at)
        return ""

    def _delta(self, at: int, delta: dict[str, Any]) -> str:
        """Take a piece of a block."""
        if (tool := delta.get("toolUse")) is not None:
            text = tool.get("input") or ""
            call = self._by_block.get(at) or self._calls.open(index=at)
            if not text:
                return ""
            self.alive = self._began = True
            return self._calls.write(call, text)
        if text := delta.get("text") or "":
            block = self._blocks.setdefault(at, {"text": []})
            block["text"].append(text)
            return self._text(text)
        if (thought := delta.get("reasoningContent")) is not None:
            block = self._blocks.setdefault(at, {"thought": [], "signature": ""})
            if thought.get("text"):
                block["thought"].append(thought["text"])
                self._reason(thought["text"])
            block["signature"] = thought.get("signature") or block["signature"]
            if redacted := thought.get("redactedContent"):
                block["redacted"] = block.get("redacted", b"") + redacted
        return ""

    def _stop(self, at: int) -> str:
        """Close a block. A tool called without arguments gets the empty object."""
        call = self._by_block.get(at)
        if call is None or call.started:
            return ""
        self.alive = self._began = True
        return self._calls.write(call, "{}")

    def _block(self, at: int) -> dict[str, Any]:
        """Return a block as converse's response has it."""
        block = self._blocks[at]
        if "toolUse" in block:
            return {"toolUse": {**block["toolUse"], "input": object_of(self._by_block[at].args)}}
        if "text" in block:
            return {"text": "".join(block["text"])}
        if "redacted" in block:
            return {"reasoningContent": {"redactedContent": block["redacted"]}}
        thought = {"text": "".join(block["thought"])}
        if block["signature"]:
            thought["signature"] = block["signature"]
        return {"reasoningContent": {"reasoningText": thought}}


# https://github.com/BerriAI/litellm/issues/9504
_WHY_TOOLS = (
    "sends tool input as it is written; for a response_format litellm 1.83 fetches the whole answer and plays it"
)

FAMILY = Family(
    providers=("bedrock",),
    reader=BedrockReader,
    end_words={  # docs.aws.amazon.com: ConverseStream, stopReason
        EndKind.FILTERED: "guardrail_intervened",
        EndKind.FAILED: "malformed_model_output malformed_tool_use",
    },
    usage_names=(UsageNames("inputTokens", "outputTokens", "totalTokens"),),
    holders={"botocore": ("_raw_stream",)},
    telemetry={"bedrock": "aws.bedrock"},
    prices={"bedrock": "aws"},
    litellm={"bedrock": ("TOOLS", _WHY_TOOLS)},
)
