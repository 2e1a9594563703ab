"""What every adapter must do, as tests to inherit. On virtual time, against whatever stands in for the network.

An adapter's test module subclasses `AdapterContract` and says in `stage` how to build the adapter and the network
around it::

    class TestMyNetwork(AdapterContract):
        can = frozenset({"ids", "duplicate"})

        def stage(self, nursery, clock):
            return MyStage(nursery, clock)

The tests are in `life` (sessions begin, end and come back), `events` (what comes in), `sending` and `trouble` (what goes
out, when all is well and when it is not).
"""

from qqops.testing.bench import Bench, Stage
from qqops.testing.contract.events import Events
from qqops.testing.contract.ground import CAN
from qqops.testing.contract.life import Life
from qqops.testing.contract.sending import Sending
from qqops.testing.contract.trouble import Trouble


class AdapterContract(Life, Events, Sending, Trouble):
    """Inherit it, give `stage`, and say in `can` what of `CAN` the network has."""


__all__ = ["CAN", "AdapterContract", "Bench", "Stage"]
