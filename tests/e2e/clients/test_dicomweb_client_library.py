"""dicomweb-client against a node under the gateway's limits: every method that applies, buffered and streamed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGLSLossless, RLELossless
from samples.phantom import write_ct
from tests.e2e.clients.conftest import Archive
from tests.e2e.clients.corpus import Sample, read_sample, samples_of, stow, upload

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

EXPLICIT_LE = "1.2.840.10008.1.2.1"
ANY = (("application/dicom", "*"),)
VIDEO = "1.2.840.10008.1.2.4.10"  #: MPEG-2, H.264 and H.265 begin so
SLICES = 24  #: of 512 KB each: the series is above what a gateway carries
#: What its own table of syntaxes lacks: it raises before it asks.
THE_LIBRARY_REFUSES = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.8.1",
}


@dataclass
class Seen(requests.adapters.HTTPAdapter):
    """A transport that remembers the status of every answer, redirects included."""

    statuses: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        answer = super().send(request, *args, **kwargs)
        self.statuses.append(answer.status_code)
        return answer

    def redirected(self) -> bool:
        found = 307 in self.statuses
        self.statuses.clear()
        return found


@dataclass(frozen=True)
class Place:
    archive: Archive
    client: DICOMwebClient
    seen: Seen
    ct: list[Sample]
    rest: list[Sample]

    def of_syntax(self, uid: str) -> Sample:
        return next(sample for sample in self.rest if sample.syntax == uid)


@pytest.fixture(scope="module")
def place(new_archive: Callable[[], Archive], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    archive = new_archive()
    folder = tmp_path_factory.mktemp("ct")
    ct = [sample for path in write_ct(folder, slices=SLICES, seed=3) if (sample := read_sample(path))]
    rest = samples_of("studies", "files")
    with archive.session() as session:
        stow(session, archive.root, [sample.data for sample in ct])
        for sample in rest:  # some of them conflict with each other on purpose: each request by itself
            _store_one(session, archive, sample)
        seen = Seen()
        session.mount("http://", seen)
        yield Place(archive, DICOMwebClient(archive.root, session=session), seen, ct, rest)


def _store_one(session: requests.Session, archive: Archive, sample: Sample) -> None:
    answer = session.post(
        f"{archive.root}/studies", data=sample.data, headers={"Content-Type": "application/dicom"}, timeout=60
    )
    assert answer.status_code == 200, f"{sample.name}: {answer.status_code} {answer.text[:500]}"


def test_studies_are_searched_by_every_option_it_has(place: Place) -> None:
    """Filters, fields, limit and offset, fuzzymatching, get_remaining."""
    everything = place.client.search_for_studies(limit=1000)
    uids = [study["0020000D"]["Value"][0] for study in everything]
    assert set(uids) == {sample.uids[0] for sample in place.ct + place.rest}
    assert len(uids) == len(set(uids))
    pages = [place.client.search_for_studies(limit=7, offset=at)[:7] for at in range(0, len(uids) + 7, 7)]
    assert [study["0020000D"]["Value"][0] for page in pages for study in page] == uids
    remaining = place.client.search_for_studies(limit=7, get_remaining=True)
    assert [study["0020000D"]["Value"][0] for study in remaining] == uids
    found = place.client.search_for_studies(search_filters={"PatientName": "mau nguy"}, fuzzymatching=True)
    assert place.ct[0].uids[0] in {study["0020000D"]["Value"][0] for study in found}
    plain = place.client.search_for_studies(
        search_filters={"StudyInstanceUID": place.ct[0].uids[0]}, fields=["StudyDescription", "00081080"]
    )
    assert plain[0]["00081030"]["Value"] == ["CT lồng ngực (mô phỏng)"]
    by_date = place.client.search_for_studies(
        search_filters={"StudyDate": "20261115-20261115", "PatientID": "MAY-0001"}
    )
    assert place.ct[0].uids[0] in {study["0020000D"]["Value"][0] for study in by_date}


def test_series_and_instances_are_searched_at_every_level(place: Place) -> None:
    """Of all studies, of one study, of one series."""
    study, series, _ = place.ct[0].uids
    expected = {sample.uids[2] for sample in place.ct}
    (one,) = place.client.search_for_series(study)
    assert one["0020000E"]["Value"] == [series]
    assert one["00201209"]["Value"] == [SLICES]
    anywhere = place.client.search_for_series(search_filters={"Modality": "CT"}, limit=1000)
    assert series in {found["0020000E"]["Value"][0] for found in anywhere}
    for below in (None, series):
        found = place.client.search_for_instances(study, below, fields=["InstanceNumber"])
        assert {instance["00080018"]["Value"][0] for instance in found} == expected
    page = place.client.search_for_instances(study, series, limit=5, offset=20, fields=["InstanceNumber"])
    assert len(page) == SLICES - 20
    (single,) = place.client.search_for_instances(study, search_filters={"SOPInstanceUID": place.ct[4].uids[2]})
    assert single["00200013"]["Value"] == [5]
    assert place.client.search_for_instances(study, search_filters={"SOPInstanceUID": "1.2.3"}) == []


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
@pytest.mark.parametrize("syntax", [None, "*", EXPLICIT_LE], ids=["default", "any", "named"])
@pytest.mark.parametrize("level", ["study", "series"])
def test_a_large_series_comes_through_a_redirect(place: Place, level: str, syntax: str | None, stream: bool) -> None:
    """Twelve megabytes, followed by its HTTP library with our key in the header, parsed by its own multipart reader."""
    study, series, _ = place.ct[0].uids
    arguments = (study,) if level == "study" else (study, series)
    media = {} if syntax is None else {"media_types": (("application/dicom", syntax),)}
    place.seen.statuses.clear()
    name = f"{'iter' if stream else 'retrieve'}_{level}"
    found = list(getattr(place.client, name)(*arguments, **media))
    assert place.seen.redirected()
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in found}
    assert set(by_uid) == {sample.uids[2] for sample in place.ct}
    for sample in place.ct:
        assert by_uid[sample.uids[2]] == sample.dataset()


def test_every_sample_comes_back_as_stored_by_asterisk_and_by_its_own_syntax(place: Place) -> None:
    """One instance at a time; equal to pydicom's reading of the file that was sent."""
    named = set()
    for sample in place.rest:
        for syntax in ("*", sample.syntax):
            if syntax in THE_LIBRARY_REFUSES:
                continue
            named.add(syntax)
            found = place.client.retrieve_instance(*sample.uids, media_types=(("application/dicom", syntax),))
            assert str(found.file_meta.TransferSyntaxUID) == sample.syntax, (sample.name, syntax)
            assert found == sample.dataset(), (sample.name, syntax)
    assert len(named) >= 6


def test_the_default_is_explicit_little_endian_with_the_same_pixels(place: Place) -> None:
    """Every sample that can be decoded here; what is lossy stays as stored."""
    compared = 0
    for sample in place.rest:
        # (by itself the library asks for instances with an asterisk)
        found = place.client.retrieve_instance(*sample.uids, media_types=("application/dicom",))
        syntax = str(found.file_meta.TransferSyntaxUID)
        if syntax == sample.syntax:
            assert found == sample.dataset(), sample.name
            continue
        assert syntax == EXPLICIT_LE, sample.name
        if "PixelData" in found:
            try:
                expected = pixel_array(sample.dataset(), raw=True)
            except (AttributeError, RuntimeError, NotImplementedError, ValueError):
                continue  # nothing to compare with
            assert np.array_equal(pixel_array(found, raw=True), expected), sample.name
            compared += 1
    assert compared >= 5


def test_metadata_of_study_series_and_instance_is_the_same(place: Place) -> None:
    """Read into data sets of pydicom, which checks every value."""
    study, series, instance = place.ct[7].uids
    of_study = place.client.retrieve_study_metadata(study)
    assert of_study == place.client.retrieve_series_metadata(study, series)
    assert {found["00080018"]["Value"][0] for found in of_study} == {sample.uids[2] for sample in place.ct}
    of_instance = place.client.retrieve_instance_metadata(study, series, instance)
    assert of_instance in of_study
    read = pydicom.Dataset.from_json(of_instance, lambda *_: b"")
    assert str(read.PatientName) == "Nguyễn^Văn Mẫu"
    for sample in place.rest:
        found = place.client.retrieve_instance_metadata(*sample.uids)
        assert found["00080018"]["Value"] == [sample.uids[2]], sample.name


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
def test_frames_come_raw_by_default_and_as_stored_when_named(place: Place, stream: bool) -> None:
    """Of a native slice, of JPEG-LS by its media type, of a multi-frame RLE several at once."""
    frames = place.client.iter_instance_frames if stream else place.client.retrieve_instance_frames
    slice_ = place.ct[0]
    assert list(frames(*slice_.uids, [1])) == [slice_.dataset().PixelData]
    (same,) = frames(*slice_.uids, [1], media_types=(("application/octet-stream", EXPLICIT_LE),))
    assert same == slice_.dataset().PixelData
    jls = place.of_syntax(JPEGLSLossless)
    (compressed,) = frames(*jls.uids, [1], media_types=(("image/jls", JPEGLSLossless),))
    assert compressed.startswith(b"\xff\xd8\xff")
    assert compressed in jls.data
    (raw,) = frames(*jls.uids, [1])
    assert raw == pixel_array(jls.dataset()).tobytes()
    many = next(s for s in place.rest if s.syntax == RLELossless and int(s.header.get("NumberOfFrames") or 1) > 1)
    count = int(many.header.NumberOfFrames)
    found = list(frames(*many.uids, list(range(1, count + 1))))
    expected = pixel_array(many.dataset(), raw=True)
    assert [len(frame) for frame in found] == [expected[0].nbytes] * count


def test_frames_above_the_gateways_size_come_through_a_redirect(place: Place) -> None:
    """Of an instance of 6 MB, all frames in one request."""
    sample = big_instance(place, "77")
    place.seen.statuses.clear()
    frames = place.client.retrieve_instance_frames(*sample.uids, list(range(1, 13)))
    assert place.seen.redirected()
    assert b"".join(frames) == sample.dataset().PixelData


def big_instance(place: Place, name: str, *, send: bool = True) -> Sample:
    """12 frames of 512 KB, stored by the upload route as every sender does that is above the gateway's limit."""
    dataset = place.ct[0].dataset()
    study, series, instance = (f"{uid[:60]}.{name}" for uid in place.ct[0].uids)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = study, series, instance
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.PatientID = f"MAY-00{name}"
    dataset.PixelData = b"".join(bytes(sample.dataset().PixelData) for sample in place.ct[:12])
    dataset.NumberOfFrames = 12
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    sample = Sample(place.ct[0].path, out.getvalue(), dataset, EXPLICIT_LE)
    if send:
        with place.archive.session() as session:
            upload(session, place.archive.origin, place.archive.name, sample.data)
    return sample


def test_pictures_of_instances_and_frames(place: Place) -> None:
    """JPEG and PNG, with window and viewport as parameters."""
    sample = place.ct[11]
    jpeg = place.client.retrieve_instance_rendered(*sample.uids)
    assert jpeg.startswith(b"\xff\xd8")
    png = place.client.retrieve_instance_rendered(*sample.uids, media_types=("image/png",))
    assert png.startswith(b"\x89PNG")
    lung = place.client.retrieve_instance_rendered(
        *sample.uids, media_types=("image/png",), params={"window": "-600,1500,linear"}
    )
    assert lung.startswith(b"\x89PNG")
    assert lung != png
    frame = place.client.retrieve_instance_frames_rendered(*sample.uids, [1], media_types=("image/png",))
    assert frame == png


def test_a_rendered_series_is_one_picture_an_instance(place: Place) -> None:
    """By the library's default, which names no type; a single picture of a series there is none (Table 10.4.4-1)."""
    study, series, _ = place.ct[0].uids
    pictures = place.client.retrieve_series_rendered(study, series)
    assert pictures.lower().count(b"content-type: image/jpeg") == SLICES
    with pytest.raises(requests.HTTPError, match="406"):
        place.client.retrieve_series_rendered(study, series, media_types=("image/png",))


def test_documents_reports_and_videos_are_rendered_as_what_they_are(place: Place) -> None:
    """application/pdf and video as they were put in; text of reports. (Reports and a video: the larger collection.)"""
    document = b"%PDF-1.4 a document of nobody\n%%EOF\n"
    pdf = place.ct[0].dataset()
    del pdf.PixelData
    pdf.SOPClassUID = pdf.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    pdf.SeriesInstanceUID, pdf.Modality = "1.2.826.0.1.3680043.10.6.2", "DOC"
    pdf.SOPInstanceUID = pdf.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.6.3"
    pdf.StudyInstanceUID, pdf.MIMETypeOfEncapsulatedDocument = "1.2.826.0.1.3680043.10.6.1", "application/pdf"
    pdf.EncapsulatedDocument, pdf.EncapsulatedDocumentLength = document, len(document)
    place.client.store_instances([pdf])
    names = (pdf.StudyInstanceUID, pdf.SeriesInstanceUID, pdf.SOPInstanceUID)
    found = place.client.retrieve_instance_rendered(*names, media_types=("application/pdf",))
    assert found.rstrip(b"\0") == document
    more = [sample for sample in samples_of("sr", "generated") if sample.syntax.startswith(VIDEO) or is_report(sample)]
    with place.archive.session() as session:
        for sample in more:
            _store_one(session, place.archive, sample)
    for sample in more:
        if is_report(sample):
            page = place.client.retrieve_instance_rendered(*sample.uids, media_types=("text/html",))
            assert "<html" in str(page), sample.name
        else:
            video = place.client.retrieve_instance_rendered(*sample.uids, media_types=("video/mp4",))
            assert video[:200] in sample.data, sample.name


def is_report(sample: Sample) -> bool:
    return str(sample.header.get("Modality")) == "SR" and "ContentSequence" in sample.header


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
def test_bulk_data_is_fetched_by_the_url_of_the_metadata(place: Place, stream: bool) -> None:
    """As it stands there, with the port (the library leaves it out of Host), and by ranges."""
    sample = place.ct[3]
    metadata = place.client.retrieve_instance_metadata(*sample.uids)
    url = metadata["7FE00010"]["BulkDataURI"]
    assert url.startswith(place.archive.root)
    fetch = place.client.iter_bulkdata if stream else place.client.retrieve_bulkdata
    assert b"".join(fetch(url)) == sample.dataset().PixelData
    octets = (("application/octet-stream", EXPLICIT_LE),)
    assert b"".join(fetch(url, media_types=octets)) == sample.dataset().PixelData


def test_what_it_stores_is_found_and_a_repeat_is_no_error(place: Place) -> None:
    """store_instances, also to a study's own URL; references and RetrieveURLs come back as a data set."""
    dataset = place.ct[0].dataset()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.10.9.1", "1.2.826.0.1.3680043.10.9.2"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.9.3"
    for study in (None, "1.2.826.0.1.3680043.10.9.1"):
        answer = place.client.store_instances([dataset], study_instance_uid=study)
        (stored,) = answer.ReferencedSOPSequence
        assert stored.ReferencedSOPInstanceUID == dataset.SOPInstanceUID
        assert "FailedSOPSequence" not in answer
        assert answer.RetrieveURL.endswith("/studies/1.2.826.0.1.3680043.10.9.1")
    with pytest.raises(requests.HTTPError, match="409"):
        place.client.store_instances([dataset], study_instance_uid="1.2.3")
    back = place.client.retrieve_instance(
        "1.2.826.0.1.3680043.10.9.1", "1.2.826.0.1.3680043.10.9.2", dataset.SOPInstanceUID
    )
    assert back == dataset


def test_what_is_above_the_gateways_size_is_told_which_route_takes_it(place: Place) -> None:
    """store_instances fails with 413; its problem details name the route that takes the same bytes."""
    sample = big_instance(place, "78", send=False)
    with pytest.raises(requests.HTTPError, match="413") as caught:
        place.client.store_instances([sample.dataset()])
    route = f"/api/archives/{place.archive.name}/uploads"
    assert caught.value.response is not None
    assert route in caught.value.response.text
    with place.archive.session() as session:
        upload(session, place.archive.origin, place.archive.name, sample.data)
    assert place.client.retrieve_instance_metadata(*sample.uids)["00280008"]["Value"] == [12]


def test_a_deleted_study_is_gone_and_the_others_stay(place: Place) -> None:
    """delete_study, an extension of ours that the library knows."""
    dataset = place.ct[0].dataset()
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = "1.2.826.0.1.3680043.10.8.1", "1.2.826.0.1.3680043.10.8.3"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    place.client.store_instances([dataset])
    place.client.delete_study("1.2.826.0.1.3680043.10.8.1")
    with pytest.raises(requests.HTTPError, match="410"):
        place.client.retrieve_study_metadata("1.2.826.0.1.3680043.10.8.1")
    assert len(place.client.retrieve_study_metadata(place.ct[0].uids[0])) == SLICES


def test_a_deleted_instance_and_a_deleted_series_are_gone_from_every_answer(place: Place) -> None:
    """delete_instance and delete_series; what is left comes back as it was."""
    study, root = "1.2.826.0.1.3680043.10.7.1", "1.2.826.0.1.3680043.10.7"
    made = []
    for series, number in (("2", 1), ("2", 2), ("3", 3)):
        dataset = place.ct[number].dataset()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{root}.{series}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{root}.{series}.{number}"
        made.append(dataset)
    place.client.store_instances(made)
    place.client.delete_instance(study, f"{root}.2", f"{root}.2.1")
    assert list(place.client.iter_study(study, media_types=ANY)) == made[1:]
    with pytest.raises(requests.HTTPError, match="410"):
        place.client.retrieve_instance(study, f"{root}.2", f"{root}.2.1")
    place.client.delete_series(study, f"{root}.3")
    assert list(place.client.iter_study(study, media_types=ANY)) == [made[1]]
    with pytest.raises(requests.HTTPError, match="410"):
        place.client.retrieve_series_metadata(study, f"{root}.3")


def test_an_unknown_uid_is_its_404_and_no_match_an_empty_list(place: Place) -> None:
    """What its users catch."""
    study, series, _ = place.ct[0].uids
    for ask in (
        lambda: place.client.retrieve_study("1.2.3"),
        lambda: place.client.retrieve_series(study, "1.2.3"),
        lambda: place.client.retrieve_instance(study, series, "1.2.3"),
        lambda: place.client.retrieve_instance_frames(*place.ct[0].uids, [2]),
    ):
        with pytest.raises(requests.HTTPError, match="404"):
            ask()
    assert place.client.search_for_studies(search_filters={"PatientID": "nobody"}) == []
