import classes from './ModalityBadges.module.css';

/** Modalities by their DICOM codes, which are the same in every language. */
export function ModalityBadges({ modalities }: { modalities: readonly string[] }) {
  return (
    <span className={classes.badges}>
      {modalities.map((modality) => (
        <span key={modality} className={classes.badge}>
          {modality}
        </span>
      ))}
    </span>
  );
}
