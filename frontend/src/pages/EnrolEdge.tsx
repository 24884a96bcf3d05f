import { Alert, Button, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { addEnrolmentCode } from '../api/devices';
import { useServices } from '../app/services';
import { TroubleAlert } from '../ui/TroubleAlert';
import classes from './EnrolEdge.module.css';

/** A one-time code for an edge that is being installed, and the command that trades it for the edge's key. */
export function EnrolEdge({ archive }: { archive: string }) {
  const { t, i18n } = useTranslation();
  const { client } = useServices();
  const made = useMutation({ mutationFn: () => addEnrolmentCode(client, archive) });
  const until = (seconds: number) =>
    new Intl.DateTimeFormat(i18n.language, { timeStyle: 'short' }).format(new Date(seconds * 1000));
  return (
    <div className={classes.enrol}>
      <Button size="xs" variant="default" loading={made.isPending} onClick={() => made.mutate()}>
        {t('devices.enrol.add')}
      </Button>
      {made.isError && <TroubleAlert error={made.error} />}
      {made.data !== undefined && (
        <Alert role="status" color="gray" title={t('devices.enrol.title')} mt={8}>
          <Text size="sm">{t('devices.enrol.hint', { time: until(made.data.expires_at) })}</Text>
          <code className={classes.command}>
            maypacs-edge enroll --url {window.location.origin} --code {made.data.code} --config
            /etc/maypacs-edge/edge.toml
          </code>
        </Alert>
      )}
    </div>
  );
}
