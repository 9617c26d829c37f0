"""Transfer methods, one file per paper. A method of another package joins by the entry point `pacbench.methods`."""

from __future__ import annotations

from typing import Final

from harness.method import Method
from methods.fine_tuning import FineTuning
from methods.l2_sp import L2SP
from methods.linear_probe import LinearProbe
from methods.lora import LoRA
from methods.pac import PAC
from methods.pac_controls import FineTuningAllocated, PACInvertedMask, PACNoAllocate, PACNoPenalty, PACRandomMask
from methods.scratch import Scratch
from methods.subtuning import SubTuning

METHODS: Final[dict[str, type[Method]]] = {
    method.name: method
    for method in (
        FineTuning,
        L2SP,
        LoRA,
        SubTuning,
        PAC,
        LinearProbe,
        Scratch,
        PACRandomMask,
        PACInvertedMask,
        PACNoAllocate,
        PACNoPenalty,
        FineTuningAllocated,
    )
}
