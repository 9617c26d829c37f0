"""Energy from counters as Linux shows them, in a folder of the same layout; null wherever it cannot be read."""

import time

import pytest
import torch

from harness import energy
from harness.energy import meter, processors
from harness.plan import cells, final_trials
from harness.source import Store
from harness.suite import Budget, EngineChoice, Entrant, Final, Suite, Tuning
from harness.trial import run
from methods import METHODS
from tasks.friedman1 import Friedman1

CPU = torch.device("cpu")
SPAN = 262_143_328_850
"""Microjoules after which a package's counter starts anew, as many processors have it."""

ZONES = {
    "intel-rapl:0": ("package-0", 5_000_000),
    "intel-rapl:0:0": ("core", 3_000_000),
    "intel-rapl:0:1": ("dram", 1_000_000),
    "intel-rapl:1": ("package-1", SPAN - 1_000_000),
    "intel-rapl:2": ("psys", 9_000_000),
    "intel-rapl-mmio:0": ("package-0", 5_000_000),
}


@pytest.fixture
def powercap(tmp_path):
    """/sys/class/powercap of a machine with two processors, one with its memory's counter."""
    folder = tmp_path / "powercap"
    (folder / "intel-rapl").mkdir(parents=True)
    for zone, (name, held) in ZONES.items():
        (folder / zone).mkdir()
        (folder / zone / "name").write_text(f"{name}\n")
        (folder / zone / "max_energy_range_uj").write_text(f"{SPAN}\n")
        set_to(folder, zone, held)
    return folder


def set_to(folder, zone, microjoules):
    """As one change, which a reader meanwhile sees as a whole."""
    new = folder / zone / "new"
    new.write_text(f"{microjoules}\n")
    new.rename(folder / zone / "energy_uj")


def test_processors_and_their_memory_count_once_and_parts_not_again(powercap):
    running = meter(CPU, powercap)
    for zone, (_, held) in ZONES.items():
        set_to(powercap, zone, (held + 2_500_000) % SPAN)
    assert running.stop() == pytest.approx(3 * 2.5)
    assert len(processors(powercap)) == 3


def test_a_counter_that_starts_anew_is_seen_to(powercap):
    running = meter(CPU, powercap)
    set_to(powercap, "intel-rapl:1", 500_000)
    assert running.stop() == pytest.approx(1.5)


def test_counters_are_looked_at_in_between_so_that_they_may_come_round_often(powercap):
    running = meter(CPU, powercap, look_seconds=0.01)
    third, turns = SPAN // 3, 7
    for step in range(1, 3 * turns + 1):
        set_to(powercap, "intel-rapl:0", (5_000_000 + step * third) % SPAN)
        time.sleep(0.1)
    assert running.stop() == pytest.approx(3 * turns * third * 1e-6, rel=1e-6)


def test_what_cannot_be_read_is_null(powercap, tmp_path):
    assert meter(CPU, tmp_path / "no such folder") is None
    running = meter(CPU, powercap)
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    assert running.stop() is None
    assert meter(CPU, powercap) is None
    set_to(powercap, "intel-rapl:0", 7)
    (powercap / "intel-rapl:1" / "max_energy_range_uj").write_text("unknown")
    assert meter(CPU, powercap) is None


def trial_on(engine):
    suite = Suite(
        name="here",
        tasks=(Friedman1(),),
        entrants=(Entrant("fine_tuning", METHODS["fine_tuning"]()),),
        target_sizes=(10,),
        tuning=Tuning(configs=1, seeds=1),
        final=Final(seeds=1),
        budget=Budget(steps=5),
        engine=EngineChoice(name=engine),
    )
    (trial,) = final_trials(suite, {cell: cell.entrant.method for cell in cells(suite)})
    return trial


def test_only_a_trial_that_had_its_device_alone_has_energy(powercap, tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "RAPL", powercap)
    store = Store(tmp_path / "cache", CPU)
    assert run(trial_on("plain"), store, exclusive_device=True)["energy_joules"] == 0.0
    assert run(trial_on("plain"), store, exclusive_device=False)["energy_joules"] is None
    assert run(trial_on("lanes"), store, exclusive_device=True)["energy_joules"] is None
