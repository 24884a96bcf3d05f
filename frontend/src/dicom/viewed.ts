import type { Dataset, Element } from './dataset';

/**
 * What the viewer and its image loader read of an instance, by module (PS3.3). Everything else, a patient's name before all,
 * is let go as soon as it has arrived: a series may have 20,000 instances.
 */
const VIEWED = new Set([
  // SOP Common, Study, Series, Equipment
  ...['00080008', '00080016', '00080018', '00080021', '00080031', '00080060', '0008103E', '00080080'],
  ...['0020000D', '0020000E', '00200011', '00200052'],
  // General Image, Acquisition: the order of slices
  ...['00080022', '00080032', '00080033', '00181060', '00200012', '00200013', '00200100'],
  // Image Plane
  ...['00180050', '00180088', '00200032', '00200037', '00201041', '00280030', '00280034'],
  // Image Pixel, Multi-frame, Cine, palettes
  ...['00180040', '00280002', '00280004', '00280006', '00280008', '00280010', '00280011', '00280100', '00280101'],
  ...['00280102', '00280103', '00280106', '00280107', '00281101', '00281102', '00281103'],
  ...['00281201', '00281202', '00281203', '00281221', '00281222', '00281223'],
  // Modality LUT, VOI LUT, Lossy Image Compression, the transfer syntax (PS3.18 H.2)
  ...['00281050', '00281051', '00281052', '00281053', '00281054', '00281056', '00282110', '00282112', '00282114'],
  ...['00020010', '00083002'],
  // Planes of Nuclear Medicine, regions of Ultrasound
  ...['00540022', '00186011'],
]);
/** Shared and per-frame functional groups: macros of one item each. */
const FUNCTIONAL_GROUPS = ['52009229', '52009230'] as const;

/** Keeps of data sets what the viewer reads; what is the same as in the one before takes memory once. */
export class Viewed {
  #before: Dataset = {};

  of(dataset: Dataset): Dataset {
    const viewed: Dataset = {};
    for (const [tag, element] of Object.entries(dataset)) {
      if (element === undefined || !VIEWED.has(tag)) continue;
      const before = this.#before[tag];
      viewed[tag] = before !== undefined && same(before, element) ? before : element;
    }
    for (const tag of FUNCTIONAL_GROUPS) {
      const element = dataset[tag];
      if (element !== undefined) viewed[tag] = { ...element, Value: (element.Value ?? []).map(groups) };
    }
    this.#before = viewed;
    return viewed;
  }
}

/** Of the macros of one frame those that hold something that is viewed, and of these that alone. */
function groups(item: unknown): Dataset {
  const kept: Dataset = {};
  for (const [tag, macro] of Object.entries((item ?? {}) as Dataset)) {
    const first = macro?.Value?.[0];
    if (macro === undefined || typeof first !== 'object' || first === null) continue;
    const entries = Object.entries(first as Dataset).filter(([inner]) => VIEWED.has(inner));
    if (entries.length > 0) kept[tag] = { ...macro, Value: [Object.fromEntries(entries)] };
  }
  return kept;
}

/** Whether two elements are equal and hold nothing but numbers and text. */
function same(one: Element, other: Element): boolean {
  if (one.vr !== other.vr || one.InlineBinary !== other.InlineBinary || one.BulkDataURI !== other.BulkDataURI)
    return false;
  const [values, others] = [one.Value ?? [], other.Value ?? []];
  return (
    values.length === others.length && values.every((value, at) => typeof value !== 'object' && value === others[at])
  );
}
