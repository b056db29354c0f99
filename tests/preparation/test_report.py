"""What `prepare` says of a source: every decision in a sentence, the same facts for programs."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from tests.preparation.test_leaving_faces import KnownFaces, walking

from lipsync_fast import kernels
from lipsync_fast.cli import main as cli
from lipsync_fast.formats import VideoFormat
from lipsync_fast.preparation import FaceOptions, prepare

WIDTH, HEIGHT = 320, 200


def told(source, tmp_path, preset="wav2lip96", **options):
    reports = []
    prepare(source, tmp_path / "t", preset=preset, report=reports.append, **options).close()
    (report,) = reports
    return report


def folder_of(path, pictures, suffix="png"):
    path.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"{i}.{suffix}")
    return path


def plain(count, level=90, size=(HEIGHT, WIDTH)):
    return [np.full((*size, 3), level + i, np.uint8) for i in range(count)]


def test_a_film_without_surprises_has_no_notes(tmp_path):
    source = folder_of(tmp_path / "a", plain(5))
    report = told(source, tmp_path, rects="10,10,90,90")
    assert report.notes() == []
    assert (report.frames, report.faces, report.width, report.height) == (5, 5, 320, 200)


def test_frames_without_a_face_and_faces_at_the_border(tmp_path):
    places = walking(tmp_path / "a")
    report = told(tmp_path / "a", tmp_path, faces=FaceOptions(KnownFaces(places), smooth="none"))
    left = np.array([place[0][0] for place in places])
    inside = np.minimum(WIDTH - left, 90)
    gone = int((3 * inside < 180).sum())
    assert report.without_face == [(25 - gone, 24)]
    assert report.over_border == int(((inside < 90) & (3 * inside >= 180)).sum())
    none, beyond, over = report.notes()
    assert none.startswith(f"{gone} of 25 frames show no face ({25 - gone} to 24);")
    assert beyond.startswith(f"in {report.beyond_border} of these more than a third")
    assert over.startswith(f"in {report.over_border} frames the face reaches over the border")


def test_given_rects_over_the_border(tmp_path):
    report = told(folder_of(tmp_path / "a", plain(4)), tmp_path, rects="-9,10,90,90")
    assert report.clipped == 4
    assert "4 given rects reach over the border" in report.notes()[0]


def test_a_second_face_and_a_cut(tmp_path):
    source = folder_of(tmp_path / "a", plain(10) + plain(10, 200))
    places = [[(200, 40, 90, 80)]] * 6 + [[(200, 40, 90, 80), (20, 40, 60, 60)]] * 14
    report = told(source, tmp_path, faces=FaceOptions(KnownFaces(places)))
    assert (report.other_faces, report.place, report.cuts) == (14, "right", [10])
    cut, faces = report.notes()
    assert cut.startswith("the picture cuts to another one at frame 10 (0.4 s): use")
    assert faces.startswith("14 frames show more than one face; the one at the right was taken")


def test_a_pan_is_no_cut(tmp_path):
    wave = np.arange(900) / 40
    pictures = []
    for i in range(12):
        row = 120 + 90 * np.sin(wave[30 * i : 30 * i + WIDTH])
        pictures.append(np.tile(row[None, :, None], (HEIGHT, 1, 3)).astype(np.uint8))
    places = [[(200, 40, 90, 80)]] * 12
    source = folder_of(tmp_path / "a", pictures)
    assert told(source, tmp_path, faces=FaceOptions(KnownFaces(places))).cuts == []


def test_another_rate(tmp_path):
    from lipsync_fast.media import VideoWriter

    pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with VideoWriter(path, VideoFormat(WIDTH, HEIGHT, Fraction(30))) as writer:
        for picture in plain(12):
            writer.write(kernels.to_i420(picture))
    report = told(path, tmp_path, preset="synctalk328", rects="10,10,90,90")
    assert (report.source_fps, report.fps) == (30, 25)
    assert report.notes()[0].startswith("30 frames a second became 25, which the model needs")
    assert told(path, tmp_path, rects="10,10,90,90").notes() == []


def test_odd_sides_transparency_and_what_is_left_out(tmp_path):
    source = folder_of(tmp_path / "a", plain(3, size=(201, 320)))
    Image.open(source / "1.png").convert("RGBA").save(source / "1.png")
    for name in ("a.txt", "b.psd", "c.doc", "d.doc"):
        (source / name).touch()
    odd, alpha, left = told(source, tmp_path, rects="10,10,90,90").notes()
    assert odd.startswith("320×201 has an odd side")
    assert alpha.startswith("the transparency of 1 images was dropped")
    assert left.startswith("left out, since they are not images: a.txt, b.psd, c.doc and 1 more;")


def test_the_command_line_says_it_and_prints_it_for_programs(tmp_path, capsys):
    source = folder_of(tmp_path / "a", plain(3))
    (source / "notes.txt").touch()
    command = ["prepare", str(source), str(tmp_path / "t"), "--preset", "wav2lip96"]
    command += ["--rect", "10,10,90,90"]
    assert cli.main(command) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "a face in 3 of 3 frames\n- left out, since they are not images: notes.txt;" in said.err
    assert cli.main([*command, "--json", "--quiet"]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert (facts["frames"], facts["faces"], facts["left_out"]) == (3, 3, ["notes.txt"])
    assert facts["fps"] == "25"
    assert "- " not in said.err
