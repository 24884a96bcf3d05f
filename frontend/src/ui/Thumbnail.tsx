import { useEffect, useRef, useState } from 'react';
import { useServices } from '../app/services';
import { DocumentIcon, ImageIcon } from './icons';
import classes from './Thumbnail.module.css';

interface Props {
  path: string;
  /** Changes when the picture may have changed, such as the number of images. */
  version: string;
  size: number;
  kind?: 'image' | 'document';
}

/**
 * A small picture, asked for only while it is on the screen (with a margin of 200 px) and given up when it leaves.
 * Without one (not made yet, or nothing to show) a drawing stands in. The row beside it says the same in words.
 */
export function Thumbnail({ path, version, size, kind = 'image' }: Props) {
  const { thumbnails } = useServices();
  const box = useRef<HTMLDivElement>(null);
  const [visible, setVisible] = useState(false);
  const [url, setUrl] = useState<string | null>(() => thumbnails.peek(path, version));

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new IntersectionObserver((entries) => setVisible(entries.at(-1)?.isIntersecting ?? false), {
      rootMargin: '200px',
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (!visible || kind === 'document') return;
    const controller = new AbortController();
    thumbnails.load(path, version, controller.signal).then(
      (loaded) => {
        if (!controller.signal.aborted) setUrl(loaded);
      },
      () => undefined,
    );
    return () => controller.abort();
  }, [visible, path, version, kind, thumbnails]);

  return (
    <div ref={box} className={classes.box} style={{ width: size, height: size }}>
      {url !== null && kind === 'image' ? (
        <img src={url} alt="" width={size} height={size} className={classes.image} data-thumbnail="" />
      ) : (
        <span className={classes.placeholder}>
          {kind === 'document' ? <DocumentIcon size={size * 0.42} /> : <ImageIcon size={size * 0.42} />}
        </span>
      )}
    </div>
  );
}
