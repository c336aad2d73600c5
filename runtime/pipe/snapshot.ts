import type {PipeState} from './rendezvous.ts';
import type {ReceiverProgress, Transfer} from './transfer.ts';

/** What `?status` and `?progress` say of a name; seconds, bytes, bytes a second. */
export interface Snapshot {
  readonly state: 'idle' | 'waiting' | 'streaming' | 'complete' | 'failed';
  readonly kind: 'pipe' | 'live';
  /** Connections, the sender's included. */
  readonly peers: number;
  readonly transferId: string | null;
  readonly hasSender: boolean;
  readonly activeReceivers: number;
  readonly totalReceivers: number;
  readonly bytesTransferred: number;
  readonly totalBytes: number | null;
  readonly speed: number;
  readonly eta: number | null;
  readonly elapsed: number;
  /** Why a transfer failed. */
  readonly reason: string | null;
  readonly sha256: string | null;
  /** Who they are, where they say so, and how far. */
  readonly readers: readonly ReceiverProgress[];
}

export const idleSnapshot: Snapshot = {
  state: 'idle',
  kind: 'pipe',
  peers: 0,
  transferId: null,
  hasSender: false,
  activeReceivers: 0,
  totalReceivers: 0,
  bytesTransferred: 0,
  totalBytes: null,
  speed: 0,
  eta: null,
  elapsed: 0,
  reason: null,
  sha256: null,
  readers: [],
};

/** Of a name that somebody is on. `labels`: what the receivers that still wait call themselves. */
export function snapshotOf({
  state,
  transfer,
  transferId,
  labels,
}: {
  state: PipeState;
  transfer: Transfer | null;
  transferId: string | null;
  labels: readonly (string | null)[];
}): Snapshot {
  const hasSender = state.phase === 'streaming' || (state.phase === 'waiting' && state.sender !== null);
  const common = {
    ...idleSnapshot,
    kind: state.terms.isLive ? ('live' as const) : ('pipe' as const),
    peers: state.receivers.length + (hasSender ? 1 : 0),
    transferId,
    hasSender,
    activeReceivers: state.receivers.length,
    totalReceivers: state.terms.isLive ? state.receivers.length : state.terms.receivers.max,
  };
  if (transfer === null) {
    return {
      ...common,
      state: 'waiting',
      readers: labels.map((name) => ({name, bytes: 0, blocking: false})),
    };
  }
  const {bytes, totalBytes, bytesPerSecond} = transfer;
  return {
    ...common,
    state: 'streaming',
    bytesTransferred: bytes,
    totalBytes,
    speed: Math.round(bytesPerSecond),
    eta: totalBytes === null || bytesPerSecond < 1 ? null : Math.ceil((totalBytes - bytes) / bytesPerSecond),
    elapsed: transfer.seconds,
    readers: transfer.receivers(),
  };
}

/** Of a transfer that is over. */
export function finalSnapshot(last: Snapshot, transfer: Transfer | null, reason: string | null): Snapshot {
  return {
    ...last,
    state: reason === null ? 'complete' : 'failed',
    peers: 0,
    hasSender: false,
    bytesTransferred: transfer?.bytes ?? 0,
    totalBytes: transfer?.totalBytes ?? null,
    speed: 0,
    eta: null,
    elapsed: transfer?.seconds ?? 0,
    reason,
    sha256: reason === null ? (transfer?.sha256() ?? null) : null,
  };
}
