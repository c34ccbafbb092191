"""Deciding between KVM and TCG."""

from pathlib import Path

import pytest

from benito.errors import InputError
from benito.machines import accelerator


def test_the_processors_flags_decide_first() -> None:
    assert accelerator.has_virtualisation("processor: 0\nflags\t\t: fpu vme svm\n")
    assert not accelerator.has_virtualisation("flags\t\t: fpu vme hypervisor vmxoff\n")
    assert not accelerator.has_virtualisation("")


def test_tcg_needs_no_trial(tmp_path: Path) -> None:
    assert accelerator.decide("tcg", tmp_path / "cache") == "tcg"
    assert not (tmp_path / "cache").exists()


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use auto, kvm or tcg"):
        accelerator.decide("xen", tmp_path)


def test_the_trials_answer_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def trial(kind: accelerator.Accelerator) -> bool:
        asked.append(kind)
        return False

    monkeypatch.setattr(accelerator, "has_virtualisation", lambda _: True)
    monkeypatch.setattr(accelerator, "_DEVICE", tmp_path)
    monkeypatch.setattr(accelerator, "qemu_version", lambda: "QEMU 7")
    monkeypatch.setattr(accelerator, "trial", trial)
    assert accelerator.detect(tmp_path / "cache").reason == "a trial machine did not get past its BIOS"
    assert accelerator.decide("auto", tmp_path / "cache") == "tcg"
    assert asked == ["kvm"]
    monkeypatch.setattr(accelerator, "qemu_version", lambda: "QEMU 8")
    assert accelerator.decide("auto", tmp_path / "cache") == "tcg"
    assert asked == ["kvm", "kvm"]
