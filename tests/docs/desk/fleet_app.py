"""An application of its own: workers share a counter, and nobody takes the estimate before the call."""

from capsound.adapter import Adapter, Gate


class OverBudget(Exception):
    pass


class App:
    def __init__(self, cap):
        self.cap = cap
        self.spent = 0

    async def ask(self, estimate, send):
        if self.spent + estimate > self.cap:
            raise OverBudget
        self.spent += await send()


class Fleet(Adapter):
    gate = Gate.CALL  # the application makes the call itself
    refused = (OverBudget,)

    def open(self, cap):
        return App(cap)

    async def call(self, app, estimate, provider):
        await app.ask(estimate, provider)

    def spent(self, app):
        return app.spent

    def remaining(self, app):
        return app.cap - app.spent
