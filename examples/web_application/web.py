"""A web application that answers at once and leaves the work to workers: FastAPI, and a bus.

    pip install 'busframe[sqlite]' 'fastapi[standard]'
    cd examples/web_application
    fastapi run web.py                                    # or: uvicorn web:app
    busframe run shop:bus --url sqlite:///shop.db         # a worker, in another shell; as many as you like
    curl localhost:8000/orders --json '{"customer": "ada", "product": "tea", "quantity": 2}'

What to look at:
- The connection lives as long as the application, in its lifespan; all requests share it, so that requests at the same
  time share calls of the broker.
- The answer is 202 Accepted when the order is on every queue, and 503 when it is not: then the client asks again, with
  the same number if it wants no second order.
- The trace of the request goes on in the handlers: the `traceparent` header travels in the message.
- `/metrics` is for Prometheus, `/health` for whoever restarts what is ill.

`BUS_URL` and `BUS_RECIPIENTS` in the environment name the broker, and the recipient list where the broker keeps none.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel, Field
from shop import OrderPlaced, bus

from busframe import BackendError, InvalidArgumentError, Live, PublishError, within_trace
from busframe.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncGenerator[None, None]:
    """Connect while the application runs."""
    url = os.environ.get("BUS_URL", "sqlite:///shop.db")
    async with bus.connect(url, recipients=os.environ.get("BUS_RECIPIENTS")) as live:
        application.state.live = live
        yield


app = FastAPI(title="Shop", lifespan=lifespan)


def connection(request: Request) -> Live:
    """The application's connection, for requests that need it."""
    live: Live = request.app.state.live
    return live


Connected = Annotated[Live, Depends(connection)]


class NewOrder(BaseModel):
    """What a customer sends."""

    customer: str = Field(min_length=1)
    product: str = Field(min_length=1)
    quantity: int = Field(gt=0)
    order: str = Field(default_factory=lambda: token_hex(8))


@app.post("/orders", status_code=202)
async def place_order(
    new: NewOrder, live: Connected, traceparent: Annotated[str | None, Header()] = None
) -> dict[str, str]:
    """Take an order."""
    order = OrderPlaced(order=new.order, customer=new.customer, product=new.product, quantity=new.quantity)
    try:
        with _within(traceparent):
            await live.publish(order)
    except (BackendError, PublishError) as error:
        raise HTTPException(503, "the order is not taken, please ask again") from error
    return {"order": new.order}


@contextmanager
def _within(traceparent: str | None) -> Generator[None, None, None]:
    """Let what is published belong to the trace of the request. The order is taken whatever is in the header."""
    with ExitStack() as stack:
        if traceparent is not None:
            with suppress(InvalidArgumentError):
                stack.enter_context(within_trace(traceparent))
        yield


@app.get("/metrics")
async def metrics(live: Connected) -> Response:
    """Tell Prometheus."""
    return Response(await live.metrics(), media_type=CONTENT_TYPE)


@app.get("/health")
async def health(live: Connected) -> Response:
    """Tell whether all is well. Here nothing is consumed, so it is well as long as it answers."""
    return Response(status_code=200 if live.health().healthy else 503)
