import { ActionIcon, Tooltip } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { mayMonitor, useArchives } from '../app/archives';
import { useServices, useSessionState } from '../app/services';
import classes from './Header.module.css';
import { DevicesIcon, LogoutIcon } from './icons';
import { LanguageSwitch } from './LanguageSwitch';

export function Header({ children }: { children?: ReactNode }) {
  const { t } = useTranslation();
  const { client } = useServices();
  const { session } = useSessionState();
  const watches = useArchives().data?.some(mayMonitor) ?? false;
  return (
    <header className={classes.header}>
      <a href="#main" className={classes.skip}>
        {t('app.skip')}
      </a>
      <Link to="/" className={classes.brand}>
        <img src="/logo.svg" alt="" width={30} height={30} />
        <span className={classes.name}>{t('app.name')}</span>
        <span className="visually-hidden">{t('app.home')}</span>
      </Link>
      <div className={classes.middle}>{children}</div>
      {watches && (
        <Link to="/devices" className={classes.link}>
          <DevicesIcon />
          <span className={classes.linkText}>{t('devices.title')}</span>
        </Link>
      )}
      <LanguageSwitch short />
      <span className={classes.user}>{session?.user}</span>
      <Tooltip label={t('app.logout')}>
        <ActionIcon
          variant="transparent"
          size={36}
          className={classes.logout}
          aria-label={t('app.logout')}
          onClick={() => client.logout()}
        >
          <LogoutIcon />
        </ActionIcon>
      </Tooltip>
    </header>
  );
}
