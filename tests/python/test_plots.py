"""The pictures: what is drawn, what it is called, and how much of it."""

import io
import subprocess
import sys

import numpy as np
import pytest
import snnfp
from snnfp import plots
from snnfp.plots._style import COLOURS

HEAD = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}
DENSE = snnfp.Dense


def readout(rows, *, size=3, **neuron):
    """A readout that weights ``[inputs, outputs]`` drive, and its input."""
    net = snnfp.Network()
    x = net.input(len(rows), name="pixels")
    y = net.population(size, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, **neuron), name="readout")
    net.connect(x, y, DENSE(weight=rows))
    return net


def race():
    """Output 1 before 0 before 2, wherever the input comes from."""
    net = readout([[2.0, 3.0, 1.5], [2.0, 3.0, 1.5]], t_refractory=2.0)
    return net, snnfp.Spikes.from_latencies([[0.2, 0.5], [1.0, 1.5]])


def texts(legend):
    return [t.get_text() for t in legend.get_texts()]


def stars(axes):
    return [line for line in axes.lines if line.get_marker() == "*"]


def save(figure, kind, dpi=60):
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=dpi)
    return file.getvalue()


def all_pictures():
    history = snnfp.History()
    history.append({"loss": 1.0, "accuracy": 0.5, "silent/readout": 0.0})
    net, spikes = race()
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=5.0)
    points = np.array([[0.1, 0.2], [0.6, 0.7]])

    def encode(x):
        return snnfp.encoding.latency(x, t_min=0.0, t_max=1.0)

    events = snnfp.Spikes.from_latencies([[0.1 * k for k in range(24)]])
    ramp = np.linspace(0, 1, 20)[:, None] * [[1.0, 0.7]]
    crossings = snnfp.encoding.level_crossings([ramp], levels=[0.3, 0.6], dt=0.1)
    return {
        "activity": plots.activity(snnfp.diagnose(net, spikes[:1], until=5.0)),
        "learning_curves": plots.learning_curves(history),
        "pixel_counts": plots.pixel_counts(
            {"as recorded": events, "dropped": events.drop(0.5, 0)}, (2, 3, 4)
        ),
        "signal_and_spikes": plots.signal_and_spikes(ramp, crossings, dt=0.1, kept=ramp),
        "raster_and_voltage": plots.raster_and_voltage(net, spikes, [1, 0], until=5.0),
        "decision_map": plots.decision_map(
            net, encode, loss.predict, points, [1, 2], until=5.0, resolution=6, mirrored=False
        ),
    }


@pytest.mark.parametrize("kind", HEAD)
def test_every_picture_in_every_format(kind):
    pictures = all_pictures()
    assert pictures.keys() == set(plots.__all__)
    for figure in pictures.values():
        assert save(figure, kind).startswith(HEAD[kind])


def test_pictures_are_public_and_need_matplotlib_only_when_drawn():
    code = (
        "import sys; sys.modules['matplotlib'] = None; import snnfp\n"
        "try: snnfp.plots.learning_curves(snnfp.History({'loss': [1.0]}))\n"
        "except snnfp.errors.MissingDependencyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("matplotlib is not installed; it comes with: pip install")
    assert "plots" in snnfp.__all__
    for name in plots.__all__:
        assert (
            "Args:" in getattr(plots, name).__doc__ and "Returns:" in getattr(plots, name).__doc__
        )


def test_no_text_lies_on_another():
    """Measured, as drawn: legends, titles, labels of axes and of ticks."""
    for name, figure in all_pictures().items():
        figure.canvas.draw()
        boxes = []
        for axes in figure.axes:
            words = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
            words += [t for t in axes.get_yticklabels() if t.get_visible()]
            if axes.get_legend() is not None:
                words += axes.get_legend().get_texts()
            shown = [w for w in words if w.get_text() and w.get_visible()]
            boxes += [(w.get_text(), w.get_window_extent()) for w in shown]
            if axes.get_legend() is not None:
                box = axes.get_legend().get_window_extent()
                assert not box.overlaps(axes.get_window_extent()), f"{name}: a legend on data"
        for k, (text, box) in enumerate(boxes):
            others = [t for t, b in boxes[:k] if b.overlaps(box)]
            assert not others, f"{name}: {text!r} on {others}"


# -- learning curves -------------------------------------------------------------------------------


def test_learning_curves():
    history = snnfp.History()
    for k in range(12):
        history.append(
            {
                "loss": 1.0 / (k + 1),
                "accuracy": 0.5 + 0.03 * k,
                "validation_loss": 1.1 / (k + 1),
                "validation_accuracy": 0.9 if k == 7 else 0.5,
                "silent/hidden": 0.5,
                "silent/output": 0.5,
            }
        )
    loss, accuracy, silent = plots.learning_curves(history).axes
    assert [a.get_ylabel() for a in (loss, accuracy, silent)] == [
        "loss",
        "accuracy",
        "silent neurons (fraction)",
    ]
    assert all(a.get_xlabel() == "epoch" for a in (loss, accuracy, silent))
    assert texts(loss.get_legend()) == texts(accuracy.get_legend()) == ["training", "validation"]
    assert texts(silent.get_legend()) == ["hidden", "output"]
    assert accuracy.get_title() == "best validation accuracy 0.9000, epoch 8"
    np.testing.assert_array_equal(loss.lines[0].get_xdata(), np.arange(1, 13))
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), history["validation_loss"])
    # Curves on each other are told apart.
    assert silent.lines[0].get_linestyle() != silent.lines[1].get_linestyle()


def test_what_is_no_history_or_no_plane():
    with pytest.raises(TypeError, match=r"history is a dict, expected the snnfp.History"):
        plots.learning_curves({"loss": [1.0]})
    with pytest.raises(ValueError, match=r"\[n, 4\] and \[n\]: mirrored=False takes points"):
        plots.decision_map(None, None, None, np.zeros((20, 2)), np.zeros(20), until=1.0)


def test_learning_curves_of_what_there_is():
    """A loss without classes has nan for its accuracy, and one epoch is seen as a mark."""
    history = snnfp.History({"loss": [1.0], "accuracy": [np.nan]})
    (loss,) = plots.learning_curves(history).axes
    assert loss.get_ylabel() == "loss" and loss.lines[0].get_marker() == "o"
    assert loss.get_xticks().tolist() == [1]
    with pytest.raises(ValueError, match="the history has no epochs, expected at least one"):
        plots.learning_curves(snnfp.History())


# -- spikes and voltages ---------------------------------------------------------------------------


def test_what_decides_is_marked():
    net, spikes = race()
    first = snnfp.simulate(net, spikes, until=5.0).first_spikes("readout")
    figure = plots.raster_and_voltage(
        net, spikes, [1, 2], until=5.0, titles=["a", "b"], time_unit="ms"
    )
    rasters, voltages = figure.axes[:2], figure.axes[2:]
    assert rasters[0].get_title() == "a\nlabel 1, first to fire 1: right"
    assert rasters[1].get_title() == "b\nlabel 2, first to fire 1: wrong"
    assert rasters[0].title.get_color() != rasters[1].title.get_color()
    for sample, (raster, voltage) in enumerate(zip(rasters, voltages, strict=True)):
        for axes in (raster, voltage):
            (star,) = stars(axes)
            assert star.get_xdata()[0] == first[sample, 1] and star.get_color() == COLOURS[1]
        assert star.get_ydata()[0] == 1.0  # at the threshold
        assert voltage.get_xlabel() == "time [ms]"
        label = (1, 2)[sample]
        named = [f"readout {k}{' (label)' if k == label else ''}" for k in range(3)]
        assert texts(voltage.get_legend()) == [*named, "first output spike", "threshold"]
        curves = [line for line in voltage.lines if line.get_label() in named]
        widths = [line.get_linewidth() for line in curves]
        assert widths.index(max(widths)) == label and widths.count(max(widths)) == 1
        assert [line.get_color() for line in curves] == list(COLOURS[:3])
        assert [t.get_text() for t in raster.texts] == ["label"]
    names = [t.get_text() for t in rasters[0].get_yticklabels()]
    assert names == ["pixels\n(2)", "readout\n(3)"]
    assert voltages[0].get_ylabel() == "V of readout"


def test_no_output_fires():
    net = readout([[0.1, 0.1, 0.1]])
    spikes = snnfp.Spikes.from_latencies([[0.5]])
    raster, voltage = plots.raster_and_voltage(net, spikes, [0], until=5.0).axes
    assert raster.get_title() == "label 0, no output fires: wrong"
    assert not stars(raster) and not stars(voltage)
    raster, _ = plots.raster_and_voltage(net, spikes, until=5.0).axes
    assert raster.get_title() == "no output fires" and not raster.texts
    # The picture says so; whoever simulates is warned all the same.
    with pytest.warns(snnfp.errors.SilentPopulationWarning):
        snnfp.simulate(net, spikes, until=5.0)


def test_an_output_that_fires_on_is_no_solid_block():
    """Thousands of resets: the voltage ends at the third, and little is drawn."""
    net = readout([[0.5, 0.4, 0.3]], bias=60.0, t_refractory=0.01)
    spikes = snnfp.Spikes.from_latencies([[0.5]])
    counts = snnfp.simulate(net, spikes, until=50.0).counts("readout")[0]
    assert counts.min() > 500
    figure = plots.raster_and_voltage(net, spikes, [0], until=50.0)
    raster, voltage = figure.axes
    named = texts(voltage.get_legend())
    assert named[0] == f"readout 0 (label), V up to spike 3 of {counts[0]}"
    curve = voltage.lines[0]
    record = snnfp.simulate(net, spikes, until=50.0)
    third = np.sort(record.times[record.neurons == 0])[2]
    assert curve.get_xdata()[-1] < third < curve.get_xdata()[-1] + 0.1
    assert np.count_nonzero(np.diff(curve.get_ydata()) < -0.5) == 2
    assert sum(np.size(line.get_xdata()) for line in voltage.lines) < 5000
    # All spikes are in the raster; many of them as an image, also in an SVG.
    drawn = sum(len(c.get_offsets()) for c in raster.collections)
    assert drawn == 1 + counts.sum()
    assert len(save(figure, "svg")) < 3_000_000


def test_few_of_many_outputs_are_drawn():
    """The label and the first to fire are among them; the colours differ."""
    size = 10
    weights = np.full((1, size), 3.0)
    weights[0, 9], weights[0, 4], weights[0, 2] = 9.0, 8.0, 7.0
    net = readout(weights, size=size)
    spikes = snnfp.Spikes.from_latencies([[0.5]])
    for units, label, drawn in (
        (3, 0, [0, 4, 9]),
        (1, 0, [9]),
        (2, 9, [4, 9]),
        (99, 0, [*range(10)]),
    ):
        _, voltage = plots.raster_and_voltage(net, spikes, [label], until=5.0, units=units).axes
        named = texts(voltage.get_legend())[:-2]
        assert [int(n.split()[1].rstrip(",")) for n in named] == drawn
        colours = {line.get_color() for line in voltage.lines[: len(drawn)]}
        assert len(colours) == min(len(drawn), len(COLOURS))


def test_several_inputs_and_a_readout_in_the_middle():
    net = snnfp.Network()
    a, b = net.input(2, name="a"), net.input(1, name="b")
    neuron = snnfp.LIF(tau_mem=2.0, tau_syn=1.0)
    y, z = net.population(2, neuron, name="y"), net.population(1, neuron, name="z")
    net.connect(a, y, DENSE(weight=[[6.0, 3.0], [1.0, 1.0]]))
    net.connect(b, y, DENSE(weight=[[1.0, 1.0]]))
    net.connect(y, z, DENSE(weight=[[3.0], [3.0]]))
    spikes = {
        "a": snnfp.Spikes.from_latencies([[0.1, 0.2]]),
        "b": snnfp.Spikes.from_latencies([[0.3]]),
    }
    raster, voltage = plots.raster_and_voltage(net, spikes, [0], until=4.0, readout="y").axes
    assert [t.get_text().split("\n")[0] for t in raster.get_yticklabels()] == ["a", "b", "y", "z"]
    assert (
        voltage.get_ylabel() == "V of y" and "label 0, first to fire 0: right" in raster.get_title()
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"labels": [0]}, r"labels are int64\[1\], expected 2 integers, one a sample"),
        ({"labels": [0.0, 1.0]}, r"labels are float64\[2\], expected 2 integers"),
        ({"labels": [0, 3]}, r"labels\[1\] is 3, expected 0 <= label < 3 \(the size of readout\)"),
        ({"titles": ["a"]}, "1 titles for 2 samples, expected one a sample"),
        ({"units": 0}, "units is 0, expected at least 1"),
        ({"spikes": snnfp.Spikes.from_latencies(np.zeros((7, 2)))}, "7 samples to draw, expected 1 to 6"),
        ({"readout": "none"}, "none"),
    ],
)  # fmt: skip
def test_bad_arguments_of_a_raster(arguments, message):
    net, spikes = race()
    with pytest.raises((ValueError, KeyError), match=message):
        plots.raster_and_voltage(net, **{"spikes": spikes, "until": 5.0} | arguments)


# -- decision map ----------------------------------------------------------------------------------


def test_decision_map():
    net, _ = race()
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=5.0)
    points = np.array([[0.1, 0.2], [0.6, 0.7], [0.3, 0.9]])

    def encode(x):
        return snnfp.encoding.latency(x, t_min=0.0, t_max=1.0)

    options = {"until": 5.0, "resolution": 5, "mirrored": False}
    figure = plots.decision_map(net, encode, loss.predict, points, [1, 0, 1], **options)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    assert texts(axes.get_legend()) == ["class 0", "class 1", "wrong (1 of 3)"]
    assert (axes.images[0].get_array() == 1).all()
    # The same colour for a class in the areas, in the dots and in the other pictures.
    from matplotlib.colors import to_rgba

    image = axes.images[0]
    assert image.cmap(image.norm(1)) == to_rgba(COLOURS[1])
    dots = axes.collections[1]
    assert tuple(dots.get_facecolor()[0]) == to_rgba(COLOURS[1])
    np.testing.assert_array_equal(dots.get_offsets(), points[[0, 2]])
    np.testing.assert_array_equal(axes.collections[-1].get_offsets(), points[[1]])


def test_decision_map_where_no_output_fires():
    net = readout([[0.1, 0.1, 0.1], [4.0, 5.0, 6.0]])
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=1.0)

    def encode(x):
        return snnfp.encoding.latency(x, t_min=0.0, t_max=1.0)

    figure = plots.decision_map(
        net, encode, loss.predict, [[0.5, 0.0]], [2], until=0.9, resolution=5, mirrored=False
    )
    (axes,) = figure.axes
    assert texts(axes.get_legend())[-1] == "no output fires"
    classes = axes.images[0].get_array()
    assert (classes[0] == 2).all() and (classes[-1] == -1).all()
    with pytest.raises(
        ValueError, match=r"points have shape \(1, 2\) and labels \(1,\), expected \[n, 4\]"
    ):
        plots.decision_map(net, encode, loss.predict, [[0.5, 0.0]], [2], until=0.9)
