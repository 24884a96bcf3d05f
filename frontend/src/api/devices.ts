import type { Client } from './client';

/** How the edges of an archive are, and the devices behind them, as the console tells it. Times in seconds since 1970. */

export type Level = 'green' | 'amber' | 'red';

export interface Finding {
  /** What is wrong; the dashboard has the words. A newer edge may say what it does not know. */
  code: string;
  level: 'amber' | 'red';
  /** Seconds, days, bytes or a count, as the code says. */
  value?: number;
  /** The AE title of the device that it is about. */
  device?: string;
}

export interface Device {
  ae_title: string;
  /** Modality (0008,0060) of its last image. */
  modality?: string;
  image_at?: number;
  /** Its last association. */
  heard_at?: number;
  /** Its last answer to a C-ECHO of the edge. */
  echo_at?: number;
  echo_failed_at?: number;
  rejected_at?: number;
}

export interface Health {
  cpu_percent?: number;
  memory_percent?: number;
  disk_free?: number;
  disk_total?: number;
  waiting?: number;
  waiting_bytes?: number;
  oldest_seconds?: number;
  received_per_hour?: number;
  uploaded_bytes_per_hour?: number;
  received_at?: number;
  uploaded_at?: number;
  /** The edge's clock less the console's. */
  clock_offset_seconds?: number;
  /** Of the edge's TLS certificate, if it has one. */
  certificate_days_left?: number;
  devices: Device[];
}

export interface Edge {
  edge: string;
  name: string;
  version: string;
  enrolled_at: number;
  heard_at: number | null;
  level: Level;
  findings: Finding[];
  /** `null` before its first heartbeat. */
  health: Health | null;
}

export interface Edges {
  /** The console's clock. */
  now: number;
  edges: Edge[];
}

export async function listEdges(client: Client, archive: string, signal: AbortSignal): Promise<Edges> {
  return client.json<Edges>(`/api/archives/${encodeURIComponent(archive)}/devices`, { signal });
}

export interface EnrolmentCode {
  /** XXXXX-XXXXX-XXXXX-XXXXX, told once: for one edge. */
  code: string;
  /** Seconds since 1970. */
  expires_at: number;
}

export async function addEnrolmentCode(client: Client, archive: string): Promise<EnrolmentCode> {
  return client.post<EnrolmentCode>(`/api/archives/${encodeURIComponent(archive)}/enrolment-codes`, {});
}

/** Its key works no more; what it sent stays. */
export async function removeEdge(client: Client, archive: string, edge: string): Promise<void> {
  const path = `/api/archives/${encodeURIComponent(archive)}/edges/${encodeURIComponent(edge)}`;
  await client.request(path, { method: 'DELETE' });
}
