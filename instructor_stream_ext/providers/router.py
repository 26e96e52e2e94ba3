"""litellm's Router, which may continue a broken stream with another answer: which chunks begin one."""

from __future__ import annotations

from typing import Any

__all__ = ["RouterWatch"]


class RouterWatch:
    """Tells the chunks of one answer from those of the next, by what litellm hides in them.

    Router has another deployment, or the same once more, go on in the midst of a stream: litellm 1.83 after any break,
    1.110 by `enable_mid_stream_fallback_continuation` (https://github.com/BerriAI/litellm/issues/18229). Ids and models
    of the chunks say nothing there, as litellm makes some of them up. But in each chunk's `_hidden_params` it puts the
    id of the deployment that was asked, without which no Router is at work, and the headers of the HTTP answer: one
    object for all chunks of an answer, but for those of a fallback in 1.110, which get equal ones of their own.
    """

    def __init__(self) -> None:
        self._deployment: Any = None
        self._headers: Any = None
        self._is_shared = False

    def begins_another(self, chunk: object) -> bool:
        """Return whether a chunk belongs to another answer than the one before. Show it each chunk once, in order."""
        hidden = getattr(chunk, "_hidden_params", None)
        if not isinstance(hidden, dict) or not (deployment := hidden.get("model_id")):
            return False
        headers = hidden.get("additional_headers")
        if deployment == self._deployment and headers is self._headers:
            self._is_shared = headers is not None
            return False
        is_other = self._deployment is not None and (
            deployment != self._deployment or self._is_shared or headers != self._headers
        )
        self._deployment, self._headers, self._is_shared = deployment, headers, False
        return is_other
