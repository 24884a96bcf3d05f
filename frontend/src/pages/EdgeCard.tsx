import { useTranslation } from 'react-i18next';
import type { Edge, Finding, Health } from '../api/devices';
import { LevelBadge } from '../ui/LevelBadge';
import { DeviceTable } from './DeviceTable';
import { amount, duration, isKnown, size } from './devices';
import classes from './EdgeCard.module.css';
import { RemoveEdge } from './RemoveEdge';

/** The console's answer takes a moment: less than this is no difference between two clocks. */
const RIGHT_SECONDS = 2;

/**
 * One edge: how it is, what to do about it, its figures, and the devices behind it. `managed`: its archive, for who may
 * remove it.
 */
export function EdgeCard({ edge, now, managed }: { edge: Edge; now: number; managed: string | null }) {
  const { t, i18n } = useTranslation();
  const heard = edge.heard_at === null ? null : duration(i18n.language, now - edge.heard_at);
  return (
    <section className={classes.card} aria-labelledby={`edge-${edge.edge}`} data-edge={edge.edge}>
      <div className={classes.head}>
        <h2 id={`edge-${edge.edge}`} className={classes.name}>
          {edge.name}
        </h2>
        <LevelBadge level={edge.level} />
        <span className={classes.about}>
          {heard === null ? t('devices.neverHeard') : t('devices.heard', { ago: heard })}
          {edge.version !== '' && ` · ${t('devices.version', { version: edge.version })}`}
        </span>
      </div>
      {edge.findings.length > 0 && (
        <ul className={classes.findings}>
          {edge.findings.map((finding) => (
            <FindingLine key={`${finding.code} ${finding.device}`} finding={finding} />
          ))}
        </ul>
      )}
      {edge.health !== null && (
        <>
          <Figures health={edge.health} now={now} />
          <DeviceTable devices={edge.health.devices} findings={edge.findings} now={now} />
        </>
      )}
      {managed !== null && <RemoveEdge archive={managed} edge={edge} />}
    </section>
  );
}

function FindingLine({ finding }: { finding: Finding }) {
  const { t, i18n } = useTranslation();
  const { code, device = '' } = finding;
  const value = amount(i18n.language, finding);
  return (
    <li className={classes.finding} data-level={finding.level}>
      <strong>
        {isKnown(code) ? t(`devices.finding.${code}`, { value, device }) : t('devices.other', { code, device })}
      </strong>
      {isKnown(code) && <span>{t(`devices.action.${code}`, { device })}</span>}
    </li>
  );
}

function Figures({ health, now }: { health: Health; now: number }) {
  const { t, i18n } = useTranslation();
  const language = i18n.language;
  const percent = (value: number | undefined) =>
    value === undefined ? '–' : new Intl.NumberFormat(language, { style: 'percent' }).format(value / 100);
  const bytes = (value: number | undefined) => (value === undefined ? '–' : size(language, value));
  const ago = (at: number | undefined) =>
    at === undefined ? t('devices.never') : t('devices.ago', { ago: duration(language, now - at) });
  const number = (value: number | undefined) => new Intl.NumberFormat(language).format(value ?? 0);
  const clock = () => {
    const ahead = health.clock_offset_seconds;
    if (ahead === undefined) return '–';
    if (Math.abs(ahead) < RIGHT_SECONDS) return t('devices.clockRight');
    return t(ahead > 0 ? 'devices.clockFast' : 'devices.clockSlow', { value: duration(language, Math.abs(ahead)) });
  };
  const certificate = () => {
    const days = health.certificate_days_left;
    if (days === undefined) return undefined;
    return t(days < 0 ? 'devices.certificateOver' : 'devices.certificate', { left: duration(language, days * 86_400) });
  };
  const figures: [string, string, string | undefined][] = [
    [
      t('devices.waiting'),
      t('devices.images', { count: health.waiting ?? 0, formatted: number(health.waiting) }),
      health.oldest_seconds === undefined
        ? undefined
        : t('devices.oldest', { age: duration(language, health.oldest_seconds) }),
    ],
    [
      t('devices.lastHour'),
      t('devices.images', { count: health.received_per_hour ?? 0, formatted: number(health.received_per_hour) }),
      t('devices.uploaded', { size: bytes(health.uploaded_bytes_per_hour) }),
    ],
    [t('devices.lastImage'), ago(health.received_at), undefined],
    [t('devices.disk'), bytes(health.disk_free), t('devices.of', { size: bytes(health.disk_total) })],
    [t('devices.clock'), clock(), certificate()],
    [t('devices.load'), percent(health.cpu_percent), t('devices.memory', { percent: percent(health.memory_percent) })],
  ];
  return (
    <dl className={classes.figures}>
      {figures.map(([label, value, more]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>
            {value}
            {more !== undefined && <small>{more}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
