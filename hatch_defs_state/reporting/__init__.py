"""Consumers of the engine's events, shared by the adapters: logs, terminals, GitHub, JSON.

`choose.reporter` chooses what fits the stream that people watch; `document.Document` collects what
programs read; `base.Broadcast` tells several at once. Every consumer is called with events within
its `with` block. `wording` has the sentences that all of them use.

Nothing is imported here: the build hook needs the wording alone, and is to be quick.
"""
