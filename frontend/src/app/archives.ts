import { useQuery } from '@tanstack/react-query';
import { type Archive, listArchives } from '../api/pacs';
import { useServices } from './services';

/** The archives that this person may see, and what they are in each. */
export function useArchives() {
  const { client } = useServices();
  return useQuery({
    queryKey: ['archives'],
    queryFn: ({ signal }) => listArchives(client, signal),
    staleTime: 60_000,
  });
}

/** Whether somebody may see how edges and devices are. */
export const mayMonitor = (archive: Archive): boolean => archive.actions.includes('monitor');

/** Whether somebody may add edges, and remove them. */
export const mayManage = (archive: Archive): boolean => archive.actions.includes('manage');
