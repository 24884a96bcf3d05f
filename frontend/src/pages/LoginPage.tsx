import { Alert, Button, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useRouter, useSearch } from '@tanstack/react-router';
import { type FormEvent, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { asApiError } from '../api/errors';
import { useServices, useSessionState } from '../app/services';
import { LanguageSwitch } from '../ui/LanguageSwitch';
import { TroubleAlert } from '../ui/TroubleAlert';
import classes from './LoginPage.module.css';

export function LoginPage() {
  const { t } = useTranslation();
  const { client } = useServices();
  const { ended, session } = useSessionState();
  const router = useRouter();
  const { next } = useSearch({ strict: false }) as { next?: string };
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  // After a login here, or when another tab answers late.
  useEffect(() => {
    if (session !== null) router.history.replace(next ?? '/');
  }, [session, router, next]);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await client.login(user.trim(), password);
    } catch (failure) {
      setPassword('');
      setError(failure);
      setBusy(false);
    }
  };

  const wrong = error !== null && asApiError(error).trouble === 'unauthorised';
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <div className={classes.brand}>
          <img src="/logo.svg" alt="" width={52} height={52} />
          <div>
            <Title order={1} size="h2" lh={1.15}>
              {t('app.name')}
            </Title>
            <Text size="sm" className={classes.tagline}>
              {t('app.tagline')}
            </Text>
          </div>
        </div>
        <form onSubmit={(event) => void submit(event)} aria-label={t('login.title')}>
          <Stack gap="md">
            {error === null && ended !== null && (
              <Alert role="status" color={ended === 'expired' ? 'yellow' : 'lagoon'}>
                {t(ended === 'expired' ? 'login.expired' : 'login.loggedOut')}
              </Alert>
            )}
            {wrong && (
              <Alert role="alert" color="red">
                {t('login.wrong')}
              </Alert>
            )}
            {error !== null && !wrong && <TroubleAlert error={error} />}
            <TextInput
              label={t('login.user')}
              name="user"
              size="md"
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              required
              withAsterisk={false}
              value={user}
              onChange={(event) => setUser(event.currentTarget.value)}
            />
            <PasswordInput
              label={t('login.password')}
              name="password"
              size="md"
              autoComplete="current-password"
              required
              withAsterisk={false}
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
              visibilityToggleButtonProps={{ 'aria-label': t('login.show') }}
            />
            <Button type="submit" size="md" loading={busy}>
              {t('login.submit')}
            </Button>
          </Stack>
        </form>
        <div className={classes.language}>
          <LanguageSwitch />
        </div>
      </div>
    </main>
  );
}
