import type {FailureReason} from './rendezvous.ts';
import type {Transfer} from './transfer.ts';

/** What is counted since the pipe was first used, in the text form that Prometheus reads. No names, no bytes. */
export interface PipeMetrics {
  ended(transfer: Transfer | null, reason: FailureReason | 'complete'): void;
  print(gauges: PipeGauges): string;
}

export interface PipeGauges {
  readonly waiting: number;
  readonly streaming: number;
  readonly receivers: number;
  readonly spectators: number;
  /** Of transfers that still run. */
  readonly bytes: number;
  readonly stalledSeconds: number;
}

const prefix = 'branchtab_pipe_';

export function createPipeMetrics(): PipeMetrics {
  const ends = new Map<string, number>();
  let bytes = 0;
  let stalledSeconds = 0;
  return {
    ended(transfer, reason) {
      ends.set(reason, (ends.get(reason) ?? 0) + 1);
      bytes += transfer?.bytes ?? 0;
      stalledSeconds += transfer?.stalledSeconds ?? 0;
    },
    print(gauges) {
      const values = (name: string, type: string, help: string, lines: readonly string[]) =>
        [`# HELP ${prefix}${name} ${help}`, `# TYPE ${prefix}${name} ${type}`, ...lines].join('\n');
      const value = (name: string, type: string, help: string, number: number) =>
        values(name, type, help, [`${prefix}${name} ${number}`]);
      return `${[
        values(
          'transfers_total',
          'counter',
          'Transfers that are over, by how they ended.',
          [...ends].map(([reason, count]) => `${prefix}transfers_total{end="${reason}"} ${count}`),
        ),
        value('sent_bytes_total', 'counter', 'Bytes that senders brought.', bytes + gauges.bytes),
        value(
          'stalled_seconds_total',
          'counter',
          'Seconds in which a sender waited for a receiver.',
          stalledSeconds + gauges.stalledSeconds,
        ),
        value('waiting', 'gauge', 'Names on which somebody waits.', gauges.waiting),
        value('streaming', 'gauge', 'Transfers that run.', gauges.streaming),
        value('receivers', 'gauge', 'Receivers, waiting or streaming.', gauges.receivers),
        value('spectators', 'gauge', 'Connections that watch the progress.', gauges.spectators),
      ].join('\n')}\n`;
    },
  };
}
