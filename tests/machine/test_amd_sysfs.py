"""AMD's cards in a fake sysfs."""

from pathlib import Path

import pytest

from edgellm.machine import amd_sysfs
from tests.machine.trees import plant

GIB = 2**30


def card(root: Path, name: str = "card0", **others: str) -> Path:
    files = {
        "vendor": "0x1002\n",
        "device": "0x744c\n",
        "product_name": "\n",
        "mem_info_vram_total": f"{24 * GIB}\n",
        "mem_info_vram_used": f"{GIB}\n",
        "mem_info_gtt_total": f"{32 * GIB}\n",
        "mem_info_gtt_used": "0\n",
    }
    plant(root, {"dev/kfd": ""})
    return plant(root, {f"sys/class/drm/{name}/device/{key}": text for key, text in (files | others).items()})


def test_a_card_with_its_own_memory(tmp_path: Path) -> None:
    (found,) = amd_sysfs.gpus(card(tmp_path))
    assert found == {
        "name": "AMD GPU 1002:744c",
        "device": "1002:744c",
        "total": 24 * GIB,
        "free": 23 * GIB,
        "unified": False,
        "driver": "amdgpu",
    }


def test_an_integrated_gpu_shares_memory(tmp_path: Path) -> None:
    (found,) = amd_sysfs.gpus(card(tmp_path, mem_info_vram_total=str(GIB), mem_info_vram_used=str(GIB // 2)))
    assert (found["unified"], found["total"]) == (True, 33 * GIB)


def test_connectors_and_other_makers_are_no_cards(tmp_path: Path) -> None:
    card(tmp_path, "card0", vendor="0x8086\n")
    card(tmp_path, "card1-DP-1")
    assert amd_sysfs.gpus(tmp_path) == []


def test_without_the_door_of_rocm_there_is_none(tmp_path: Path) -> None:
    (card(tmp_path) / "dev/kfd").unlink()
    assert amd_sysfs.gpus(tmp_path) == []


@pytest.mark.parametrize("damaged", ["", "x", "-1"])
def test_damaged_files_are_no_gpu(tmp_path: Path, damaged: str) -> None:
    assert amd_sysfs.gpus(card(tmp_path, mem_info_vram_total=damaged)) == []
