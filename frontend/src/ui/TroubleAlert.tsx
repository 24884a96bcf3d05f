import { Alert, Button, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { asApiError } from '../api/errors';
import { WarningIcon } from './icons';

/** What went wrong, what to do about it, and the code the support desk asks for. */
export function TroubleAlert({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  const { trouble, supportId } = asApiError(error);
  return (
    <Alert role="alert" color="red" icon={<WarningIcon />} title={t('trouble.title')}>
      <Text size="sm">{t(`trouble.${trouble}`)}</Text>
      {supportId !== null && (
        <Text size="xs" mt={4}>
          {t('trouble.support', { id: supportId })}
        </Text>
      )}
      {onRetry !== undefined && (
        <Button mt="sm" size="xs" variant="default" onClick={onRetry}>
          {t('trouble.retry')}
        </Button>
      )}
    </Alert>
  );
}
