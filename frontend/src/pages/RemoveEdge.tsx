import { Button, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Edge, removeEdge } from '../api/devices';
import { useServices } from '../app/services';
import { TroubleAlert } from '../ui/TroubleAlert';
import classes from './RemoveEdge.module.css';

/** Revokes an edge's key, after a question. */
export function RemoveEdge({ archive, edge }: { archive: string; edge: Edge }) {
  const { t } = useTranslation();
  const { client } = useServices();
  const queries = useQueryClient();
  const [isAsked, setIsAsked] = useState(false);
  const removal = useMutation({
    mutationFn: () => removeEdge(client, archive, edge.edge),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['devices', archive] }),
  });
  return (
    <div className={classes.remove}>
      {removal.isError && <TroubleAlert error={removal.error} />}
      {isAsked ? (
        <>
          <Text size="sm">{t('devices.remove.question', { name: edge.name })}</Text>
          <Button size="xs" color="red" loading={removal.isPending} onClick={() => removal.mutate()}>
            {t('devices.remove.yes')}
          </Button>
          <Button size="xs" variant="default" onClick={() => setIsAsked(false)}>
            {t('devices.remove.no')}
          </Button>
        </>
      ) : (
        <Button size="compact-xs" variant="subtle" color="gray" c="#43525c" onClick={() => setIsAsked(true)}>
          {t('devices.remove.ask')}
        </Button>
      )}
    </div>
  );
}
