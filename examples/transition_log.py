"""A log of what matters in a stream. Without OPENAI_API_KEY a local model answers."""

import logging
import sys

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel, SecretStr

from instructor_stream_ext import TransitionLog, wrap


class Account(BaseModel):
    owner: str
    token: SecretStr
    limits: list[int]


stand_in({"owner": "Ada", "token": "hunter2", "limits": [100, 250]})


class Facts(logging.Formatter):
    """The message, and one of the fields that each record carries for formatters that want structure."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname:<5}{record.__dict__.get('transition', ''):<16} {record.getMessage()}"


handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(Facts())
logger = logging.getLogger("streams")
logger.addHandler(handler)
logger.setLevel(logging.INFO)

log = TransitionLog(logger, include_values=True, redact=["limits"])
client = wrap(instructor.from_openai(openai.OpenAI()), log_transitions=log)
account = client.create(model="gpt-4o-mini", messages="Make up an account.", response_model=Account)
print(account.owner, account.token)
