import { Button, Loader, Text } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { readPacks, readSeriesMetadata, type SeriesItem, type StudyNames } from '../api/pacs';
import { useServices } from '../app/services';
import type { StudyText } from '../dicom/study';
import { DocumentIcon, WarningIcon } from '../ui/icons';
import { TroubleAlert } from '../ui/TroubleAlert';
import { forgetImages, startCornerstone } from './cornerstone';
import { type Frame, framesOf } from './frames';
import { Overlay } from './Overlay';
import { prepare } from './prepare';
import classes from './SeriesViewer.module.css';
import { SliceField } from './SliceField';
import { SliceSlider } from './SliceSlider';
import { StackController, type StackState } from './StackController';
import { Toolbar } from './Toolbar';
import type { Tool } from './tools';

interface Props {
  names: StudyNames;
  series: SeriesItem;
  study: StudyText;
}

/** The pictures of one series. A series without any says so instead of showing black. */
export function SeriesViewer({ names, series, study }: Props) {
  const { t } = useTranslation();
  const { client } = useServices();
  const found = useQuery({
    queryKey: ['frames', names.archive, names.study, series.uid],
    queryFn: async ({ signal }) => {
      const instances = await readSeriesMetadata(client, names, series.uid, signal);
      const prepared = await Promise.all(instances.map((instance) => prepare(client, instance, signal)));
      return framesOf(names, series.uid, prepared, window.location.origin);
    },
    staleTime: 5 * 60_000,
    // Of 20,000 slices it is tens of megabytes: not for long when nothing shows them.
    gcTime: 60_000,
  });
  const frames = found.data;
  // biome-ignore lint/correctness/useExhaustiveDependencies: pictures are kept as long as their study is on the screen.
  useEffect(() => () => void forgetImages(), [names]);

  if (found.isError) {
    return (
      <div className={classes.message}>
        <TroubleAlert error={found.error} onRetry={() => void found.refetch()} />
      </div>
    );
  }
  if (frames === undefined) {
    return (
      <div className={classes.message} role="status">
        <Loader size="sm" color="gray" />
        <Text>{t('viewer.loadingSeries')}</Text>
      </div>
    );
  }
  if (frames.length === 0) {
    return (
      <div className={classes.message} role="status">
        <DocumentIcon size={44} />
        <Text fw={600}>{t('viewer.noImagesTitle')}</Text>
        <Text maw={420} ta="center">
          {t('viewer.noImages', { modality: series.modality })}
        </Text>
      </div>
    );
  }
  return <Stack key={series.uid} names={names} frames={frames} series={series} study={study} />;
}

function Stack({ names, frames, series, study }: Props & { frames: readonly Frame[] }) {
  const { t } = useTranslation();
  const { client } = useServices();
  const element = useRef<HTMLDivElement>(null);
  const tool = useRef<Tool>('window');
  const [controller, setController] = useState<StackController | null>(null);
  const [broken, setBroken] = useState(false);
  const phone = useMediaQuery('(max-width: 48em)', undefined, { getInitialValueInEffect: false });

  useEffect(() => {
    if (element.current === null) return;
    let made: StackController;
    const asking = new AbortController();
    try {
      startCornerstone(client);
      const packs = () => readPacks(client, names, series.uid, asking.signal);
      made = new StackController(element.current, frames, tool.current, packs);
    } catch {
      setBroken(true);
      return;
    }
    setController(made);
    return () => {
      setController(null);
      asking.abort();
      made.destroy();
    };
  }, [client, names, series.uid, frames]);

  return (
    <div className={classes.viewer}>
      {controller !== null && <ConnectedToolbar controller={controller} modality={series.modality} phone={phone} />}
      <div className={classes.stage}>
        <div
          ref={element}
          className={classes.picture}
          role="application"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: the picture takes the arrow keys.
          tabIndex={0}
          aria-label={t('viewer.label')}
          aria-description={t('viewer.hint')}
          data-testid="picture"
        />
        {broken && (
          <div className={classes.cover} role="alert">
            <WarningIcon size={36} />
            <Text>{t('viewer.unavailable')}</Text>
          </div>
        )}
        {controller !== null && (
          <Face controller={controller} frames={frames} series={series} study={study} phone={phone} />
        )}
      </div>
    </div>
  );
}

function useStackState(controller: StackController): StackState {
  return useSyncExternalStore(controller.subscribe, () => controller.state);
}

/** On a phone the number of the slice stands beside the slider: the toolbar is full. */
function ConnectedToolbar({
  controller,
  modality,
  phone,
}: Pick<FaceProps, 'controller' | 'phone'> & { modality: string }) {
  const state = useStackState(controller);
  return (
    <Toolbar controller={controller} state={state} modality={modality}>
      {!phone && controller.count > 1 ? (
        <SliceField controller={controller} index={state.index} count={controller.count} />
      ) : undefined}
    </Toolbar>
  );
}

interface FaceProps {
  controller: StackController;
  frames: readonly Frame[];
  series: SeriesItem;
  study: StudyText;
  phone: boolean;
}

/** What lies over and beside the picture. */
function Face({ controller, frames, series, study, phone }: FaceProps) {
  const { t } = useTranslation();
  const state = useStackState(controller);
  const shown = state.shown === null ? undefined : frames[state.shown];
  return (
    <>
      {shown !== undefined && state.status !== 'failed' && (
        <Overlay frame={shown} count={frames.length} state={state} series={series} study={study} />
      )}
      {state.status === 'loading' && (
        <div className={classes.waiting} role="status">
          <Loader size="xs" color="gray" />
          <span>{t('viewer.loadingSlice', { index: state.index + 1 })}</span>
        </div>
      )}
      {state.status === 'failed' && (
        <div className={classes.cover} role="alert">
          <WarningIcon size={36} />
          <Text>{t('viewer.frameFailed', { index: state.index + 1 })}</Text>
          <Button size="xs" variant="default" onClick={() => controller.retry()}>
            {t('trouble.retry')}
          </Button>
        </div>
      )}
      {frames.length > 1 && (
        <SliceSlider
          index={state.index}
          count={frames.length}
          loaded={state.loaded}
          onChange={(i) => controller.goTo(i)}
        >
          {phone && <SliceField controller={controller} index={state.index} count={frames.length} />}
        </SliceSlider>
      )}
    </>
  );
}
