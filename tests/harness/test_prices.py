"""A suite's prices: what they make of a row, what is refused, and that they are no part of a campaign's identity."""

import json
import shutil

import pytest

from harness import plan
from harness.campaign import Campaign
from harness.errors import UserError
from harness.known import load_suite
from harness.prices import Prices, parse_prices
from harness.record import RECORD
from results import table

ROW = {"device": "cpu: Some Processor", "prepare_seconds": 1800.0, "adapt_seconds": 900.0, "evaluate_seconds": 900.0}


def test_hours_times_share_times_price():
    prices = parse_prices({"cpu": 0.04, "cuda": 2, "cuda: NVIDIA H200": 3.5}, "here")
    assert prices.of(ROW, 2.0) == pytest.approx(2 * 0.04)
    assert prices.of(ROW | {"device": "cuda: NVIDIA A100"}, 0.5) == pytest.approx(0.5 * 2)
    assert prices.of(ROW | {"device": "cuda: NVIDIA H200", "world_size": 4}, 1.0) == pytest.approx(4 * 3.5)
    assert prices.of(ROW | {"prepare_seconds": None}, 1.0) == pytest.approx(0.5 * 0.04)
    assert parse_prices({"cpu": 0}, "here").of(ROW, 1.0) == 0.0


def test_without_an_entry_or_without_times_there_is_no_price():
    assert Prices().of(ROW, 1.0) is None
    assert parse_prices({"cuda": 2.0}, "here").of(ROW, 1.0) is None
    assert parse_prices({"cpu": 2.0}, "here").of(ROW | {"adapt_seconds": None}, 1.0) is None
    assert parse_prices({"cpu": 2.0}, "here").of({"status": "failed"}, 1.0) is None


WRONG = {
    "prices.cpu=-0.1": "[prices]: cpu = -0.1; expected the price of one hour, a number of at least 0",
    "prices.cpu=nan": "[prices]: cpu = nan; expected the price of one hour",
    "prices.cpu=cheap": "[prices]: cpu = 'cheap'; expected the price of one hour",
    "prices.cpu=true": "[prices]: cpu = True; expected the price of one hour",
    "prices.gpu=2.0": "[prices]: unknown device 'gpu'; did you mean 'cuda'?",
    "prices.CPU=2.0": "[prices]: unknown device 'CPU'; did you mean 'cpu'?",
    "prices=2.0": "prices = 2.0; expected a table [prices]",
}


@pytest.mark.parametrize("setting", WRONG)
def test_what_is_no_price_is_one_message(setting, small_suite):
    with pytest.raises(UserError) as caught:
        load_suite(str(small_suite), [setting])
    assert WRONG[setting] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_prices_are_in_the_record_and_in_no_key_and_other_prices_are_the_same_campaign(made, small_suite, tmp_path):
    def suite(*settings):
        return load_suite(str(small_suite), list(settings))

    campaign = Campaign.open(tmp_path / "new", suite("prices.cpu=0.05"))
    assert json.loads((tmp_path / "new" / RECORD).read_text())["suite"]["prices"] == {"cpu": 0.05}
    for other in (suite("prices.cpu=0.07"), suite()):
        assert [t.key for t in plan.tune_trials(other)] == [t.key for t in campaign.tune_trials]
        assert Campaign.open(tmp_path / "new", other).suite.prices == other.prices
    with pytest.raises(UserError, match=r"holds another campaign \(budget differs\)"):
        Campaign.open(tmp_path / "new", suite("prices.cpu=0.07", "budget.steps=21"))
    old = shutil.copytree(made, tmp_path / "old")
    record = json.loads((old / RECORD).read_text())
    del record["suite"]["prices"]  # as it was written before the table existed
    (old / RECORD).write_text(json.dumps(record))
    resumed = Campaign.open(old, suite("prices.cpu=0.05"))
    assert not resumed.missing(resumed.tune_trials)


@pytest.fixture
def priced(made, tmp_path):
    """A campaign whose rows have a price and an energy."""
    import pyarrow as pa

    rows = table.read(made)
    costs = {"price": [0.0125 + i / 1000 for i in range(len(rows))], "energy_joules": [1500.0] * len(rows)}
    for name, values in costs.items():
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.float64()))
    path = tmp_path / "priced.parquet"
    pa.parquet.write_table(rows, path)
    return path


def test_boards_and_reports_show_the_price_where_there_is_one(priced, made, pacbench, tmp_path):
    shown, plain = (pacbench("leaderboard", place) for place in (priced, made))
    assert shown.returncode == plain.returncode == 0, shown.stderr + plain.stderr
    assert "price: of a trial, by the prices of its suite" in shown.stdout
    assert "price" not in plain.stdout
    board = json.loads(pacbench("leaderboard", priced, "--json").stdout)
    assert all(0.0125 < method["price"] < 0.04 for method in board["methods"])
    said = pacbench("report", priced, "--out", tmp_path / "report")
    assert said.returncode == 0, said.stderr
    page = (tmp_path / "report" / "report.md").read_text()
    header = [line for line in page.splitlines() if line.startswith("|") and "price" in line]
    assert len(header) >= 2, "the board and the table of costs"
    assert any("energy" in line for line in header)
    assert "1.50\u00a0kJ" in page
    assert "price" in (tmp_path / "report" / "leaderboard.csv").read_text().splitlines()[0]
