import { useTranslation } from 'react-i18next';
import type { Device, Finding } from '../api/devices';
import { LevelBadge } from '../ui/LevelBadge';
import classes from './DeviceTable.module.css';
import { deviceLevel, duration } from './devices';

/** The devices behind an edge: a table that becomes cards on a phone. */
export function DeviceTable({ devices, findings, now }: { devices: Device[]; findings: Finding[]; now: number }) {
  const { t, i18n } = useTranslation();
  const ago = (at: number | undefined) =>
    at === undefined ? t('devices.never') : t('devices.ago', { ago: duration(i18n.language, now - at) });
  const echo = (device: Device) => {
    if (device.echo_failed_at !== undefined) return t('devices.echoFailed');
    return device.echo_at === undefined ? t('devices.echoNone') : ago(device.echo_at);
  };
  if (devices.length === 0) return <p className={classes.none}>{t('devices.noDevices')}</p>;
  return (
    <table className={classes.table}>
      <thead>
        <tr>
          <th scope="col">{t('devices.column.device')}</th>
          <th scope="col">{t('devices.column.state')}</th>
          <th scope="col">{t('devices.column.image')}</th>
          <th scope="col">{t('devices.column.heard')}</th>
          <th scope="col">{t('devices.column.echo')}</th>
        </tr>
      </thead>
      <tbody>
        {devices.map((device) => (
          <tr key={device.ae_title} data-device={device.ae_title}>
            <th scope="row">
              {device.ae_title}
              {device.modality !== undefined && <span className={classes.modality}>{device.modality}</span>}
            </th>
            <td>
              <LevelBadge level={deviceLevel(device, findings)} />
            </td>
            <td data-label={t('devices.column.image')}>{ago(device.image_at)}</td>
            <td data-label={t('devices.column.heard')}>{ago(device.heard_at)}</td>
            <td data-label={t('devices.column.echo')}>{echo(device)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
