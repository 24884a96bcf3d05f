import { ActionIcon, Menu, Tooltip, UnstyledButton } from '@mantine/core';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { ChevronIcon, FitIcon, InvertIcon, PanIcon, ResetIcon, ScrollIcon, WindowIcon, ZoomIcon } from '../ui/icons';
import type { StackController, StackState } from './StackController';
import classes from './Toolbar.module.css';
import { TOOLS, type Tool } from './tools';
import { CT_PRESETS, PRESET_NAMES } from './windows';

const TOOL_ICONS: Record<Tool, ReactNode> = {
  window: <WindowIcon />,
  scroll: <ScrollIcon />,
  zoom: <ZoomIcon />,
  pan: <PanIcon />,
};

interface Props {
  controller: StackController;
  state: StackState;
  modality: string;
  /** What stands at its end. */
  children?: ReactNode;
}

export function Toolbar({ controller, state, modality, children }: Props) {
  const { t } = useTranslation();
  return (
    <div className={classes.toolbar} role="toolbar" aria-label={t('viewer.tools')}>
      {TOOLS.map((tool) => (
        <UnstyledButton
          key={tool}
          className={classes.tool}
          aria-label={t(`viewer.tool.${tool}`)}
          aria-pressed={state.tool === tool}
          onClick={() => controller.setTool(tool)}
        >
          {TOOL_ICONS[tool]}
          <span className={classes.label}>{t(`viewer.tool.${tool}`)}</span>
        </UnstyledButton>
      ))}
      <span className={classes.gap} />
      {modality === 'CT' && (
        <Menu position="bottom-start" width={220}>
          <Menu.Target>
            <UnstyledButton className={classes.tool}>
              <span className={classes.always}>{t('viewer.preset.menu')}</span>
              <ChevronIcon size={16} />
            </UnstyledButton>
          </Menu.Target>
          <Menu.Dropdown>
            {PRESET_NAMES.map((name) => (
              <Menu.Item
                key={name}
                rightSection={
                  <span className={classes.numbers}>
                    {t('viewer.windowLevel', { width: CT_PRESETS[name].width, level: CT_PRESETS[name].level })}
                  </span>
                }
                onClick={() => controller.setWindow(CT_PRESETS[name])}
              >
                {t(`viewer.preset.${name}`)}
              </Menu.Item>
            ))}
            <Menu.Item onClick={() => controller.setWindow(null)}>{t('viewer.preset.default')}</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      )}
      <Action label={t('viewer.invert')} pressed={state.inverted} onClick={() => controller.invert()}>
        <InvertIcon />
      </Action>
      <Action label={t('viewer.fit')} onClick={() => controller.fit()}>
        <FitIcon />
      </Action>
      <Action label={t('viewer.reset')} onClick={() => controller.reset()}>
        <ResetIcon />
      </Action>
      {children !== undefined && <div className={classes.end}>{children}</div>}
    </div>
  );
}

interface ActionProps {
  label: string;
  pressed?: boolean;
  onClick: () => void;
  children: ReactNode;
}

function Action({ label, pressed, onClick, children }: ActionProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="transparent"
        size={40}
        className={classes.action}
        aria-label={label}
        aria-pressed={pressed}
        onClick={onClick}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}
