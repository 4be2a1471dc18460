"""Power cuts on real file systems: a program writes, its disk is stopped dead, mounted again, and checked.

    with LoopDisk("ext4") as disk:
        for cut in islice(cuts(disk, program, check=check, chance=random.Random(1)), 50):
            assert not cut.problems

`program(folder)` writes without end and tells what it asked for and what was acknowledged by
`holdfast.testing.explorer.mark`; `check` is one for the explorer, too. `missing("ext4")` says what a machine lacks for
it (root, loop devices, mkfs): then nothing is shown. `LoopDisk` needs Linux; it shows neither torn sectors nor what a
disk's own cache loses. `server_cuts` does the same to the disk of a server, `room` has small disks that are full.
"""

from holdfast.testing.powercut.cutting import Cut, Failed, cuts
from holdfast.testing.powercut.disk import FILE_SYSTEMS, LoopDisk, NoDisk, missing
from holdfast.testing.powercut.serving import on_disk, server_cuts

__all__ = ("FILE_SYSTEMS", "Cut", "Failed", "LoopDisk", "NoDisk", "cuts", "missing", "on_disk", "server_cuts")
