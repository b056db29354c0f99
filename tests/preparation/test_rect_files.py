"""Given rects: every kind of source, and what is wrong with each."""

import json

import numpy as np
import pytest

from lipsync_fast.errors import FileMissingError, InputError, LayoutError
from lipsync_fast.preparation.rect_files import read_landmarks, read_rects, square_of_landmarks

RECTS = [[10, 20, 30, 40], [0, 0, 0, 0], [11, 21, 31, 41]]


def lms_lines(seed=0, count=110):
    points = np.random.default_rng(seed).uniform(100, 200, (count, 2))
    points[1, 0], points[31, 0], points[52, 1] = 50.9, 250.9, 70.9
    return points, [f"{x} {y}" for x, y in points]


@pytest.mark.parametrize("source", ["1,2,30,40", "1 2 30 40", " 1, 2, 30, 40 ", (1, 2, 30, 40)])
def test_one_rect_typed(source):
    assert read_rects(source).tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize("source", ["1,2,30", "1,2,30,40,50", "7"])
def test_typed_rect_needs_four(source):
    with pytest.raises(InputError, match="four integers"):
        read_rects(source)


@pytest.mark.parametrize("source", ["1,2,0,40", "1,2,30,-4", "0,0,0,0", np.zeros((3, 4), int)])
def test_rects_need_an_area(source):
    with pytest.raises(InputError, match="at least 1 pixel"):
        read_rects(source)


def test_array_with_a_faceless_frame():
    rects = read_rects(np.array(RECTS, np.int32))
    assert rects.dtype == np.int64
    assert rects.tolist() == RECTS


def test_entry_without_area_is_named():
    with pytest.raises(InputError, match="entry 2 must have a width"):
        read_rects(np.array([*RECTS[:2], [5, 5, 0, 9]]))


def test_json(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(RECTS))
    assert read_rects(path).tolist() == RECTS
    assert read_rects(str(path)).tolist() == RECTS


def test_json_of_the_go_server_holds_corners(tmp_path):
    path = tmp_path / "crop_rects.json"
    path.write_text("[[544, 215, 720, 391], [544, 216, 721, 393]]")
    assert read_rects(path).tolist() == [[544, 215, 176, 176], [544, 216, 177, 177]]


@pytest.mark.parametrize("corner", ["Infinity", "1e308", "NaN"])
def test_corners_that_are_no_pixels_are_refused_without_a_warning(tmp_path, corner):
    path = tmp_path / "crop_rects.json"
    path.write_text(f"[[1, 2, 3, 4], [{corner}, -1e308, {corner}, 1e308]]")
    with pytest.raises((InputError, LayoutError), match=r"whole pixels|beyond"):
        read_rects(path)


def test_shared_rects_of_the_go_server(assets):
    path = assets / "geometry" / "crop_rects_523.json"
    corners = np.array(json.loads(path.read_text()))
    rects = read_rects(path)
    assert len(rects) == 523
    np.testing.assert_array_equal(rects[:, :2] + rects[:, 2:], corners[:, 2:])
    assert ((rects[:, 2:] >= 173) & (rects[:, 2:] <= 189)).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1,2,3,4],\n[1,2,3,4\n", "line 3: not valid JSON"),
        ('{"a": 1}', "must hold a list"),
        ("[[1,2,3,4],[1,2,3]]", r"entry 1: needs \[x, y, w, h\]"),
        ('[[1,2,3,"4"]]', "entry 0"),
        ("[]", "at least one row"),
        ("[[1,2,3,1e99]]", "must hold pixels|whole"),
    ],
)
def test_malformed_json(tmp_path, text, message):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises((InputError, LayoutError), match=message):
        read_rects(path)


@pytest.mark.parametrize(
    ("head", "expected"),
    [("", RECTS), ("x,y,w,h\n", RECTS), ("xmin,ymin,xmax,ymax\n", [[10, 20, 20, 20]])],
)
def test_csv(tmp_path, head, expected):
    path = tmp_path / "r.csv"
    rows = [[10, 20, 30, 40]] if "xmin" in head else RECTS
    path.write_text(head + "".join(",".join(map(str, row)) + "\n" for row in rows) + "\n")
    assert read_rects(path).tolist() == expected


def test_malformed_csv_names_the_line(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("x,y,w,h\n1,2,3,4\n1,2,three,4\n")
    with pytest.raises(InputError, match=r"r\.csv, line 3: needs four integers"):
        read_rects(path)


def test_npy(tmp_path):
    np.save(tmp_path / "r.npy", np.array(RECTS, np.int32))
    assert read_rects(tmp_path / "r.npy").tolist() == RECTS
    np.save(tmp_path / "f.npy", np.array(RECTS, np.float64))
    assert read_rects(tmp_path / "f.npy").tolist() == RECTS


def test_npy_with_parts_of_pixels(tmp_path):
    np.save(tmp_path / "r.npy", np.array([[1, 2, 3, 4], [1, 2, 3.5, np.nan]]))
    with pytest.raises(LayoutError, match="entry 1: needs whole pixels"):
        read_rects(tmp_path / "r.npy")


def test_npy_is_never_unpickled(tmp_path):
    np.save(tmp_path / "r.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"plain \.npy"):
        read_rects(tmp_path / "r.npy")


def test_npy_of_another_shape(tmp_path):
    np.save(tmp_path / "r.npy", np.zeros((3, 5), int))
    with pytest.raises(InputError, match=r"got \(3, 5\)"):
        read_rects(tmp_path / "r.npy")


def test_lms_folder_in_numeric_order(tmp_path):
    for i in range(12):
        _, lines = lms_lines(i)
        lines[1] = f"{50 + i}.9 3"
        (tmp_path / f"{i}.lms").write_text("\n".join(lines) + "\n")
    rects = read_rects(tmp_path)
    # p[1].x and p[31].x are truncated before they are subtracted
    assert rects.tolist() == [[50 + i, 70, 200 - i, 200 - i] for i in range(12)]


def test_one_lms_file(tmp_path):
    _, lines = lms_lines()
    (tmp_path / "7.lms").write_text("\n".join(lines))
    assert read_rects(tmp_path / "7.lms").tolist() == [[50, 70, 200, 200]]


def test_lms_points_are_truncated(tmp_path):
    points, lines = lms_lines()
    lines[0] = "-3.7 9.99"
    (tmp_path / "0.lms").write_text("\n".join(lines))
    read = read_landmarks(tmp_path / "0.lms")
    assert read.dtype == np.int32
    assert read[0].tolist() == [-3, 9]
    np.testing.assert_array_equal(read[1:], points[1:].astype(np.int32))
    assert square_of_landmarks(read).tolist() == [50, 70, 200, 200]


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [(4, "12", "line 5: needs 'x y'"), (0, "a b", "line 1"), (109, "inf 3", "line 110")],
)
def test_malformed_lms_names_the_line(tmp_path, line, text, message):
    _, lines = lms_lines()
    lines[line] = text
    (tmp_path / "0.lms").write_text("\n".join(lines))
    with pytest.raises(InputError, match=message):
        read_rects(tmp_path)


def test_lms_of_another_length(tmp_path):
    _, lines = lms_lines(count=68)
    (tmp_path / "0.lms").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"110 lines .* got 68"):
        read_rects(tmp_path)


def test_lms_folder_with_a_gap(tmp_path):
    for i in (1, 2, 4):
        (tmp_path / f"{i}.lms").write_text("\n".join(lms_lines()[1]))
    with pytest.raises(InputError, match=r"3\.lms is missing"):
        read_rects(tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match="got none"):
        read_rects(tmp_path)


def test_missing_file_and_unknown_kind(tmp_path):
    with pytest.raises(FileMissingError, match=r"nowhere\.json"):
        read_rects(tmp_path / "nowhere.json")
    with pytest.raises(FileMissingError):
        read_landmarks(tmp_path / "1.lms")
    with pytest.raises(InputError, match=r"\.json, \.csv, \.npy or \.lms"):
        read_rects(tmp_path / "rects.pkl")


def test_binary_file_under_a_text_name(tmp_path):
    (tmp_path / "r.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_rects(tmp_path / "r.json")
