import {type FailureReason, printCount, type Terms} from './rendezvous.ts';

/** One line of what a sender is told while its request is open. */
export interface LogEntry {
  readonly level: 'info' | 'error';
  /** Stable name for programs. */
  readonly event: string;
  /** For people. */
  readonly message: string;
  /** What the message says, for programs: bytes, seconds, counts. */
  readonly fields: Readonly<Record<string, string | number | null>>;
}

export interface Receipt {
  readonly label: string | null;
  /** Taken by the receiver's connection. */
  readonly bytes: number;
  readonly seconds: number;
  /** Null where it did not get everything. */
  readonly sha256: string | null;
}

/** `[INFO] Transfer complete.` and the like. */
export function printText({level, message}: LogEntry): string {
  return `[${level.toUpperCase()}] ${message}\n`;
}

/** One JSON object a line. */
export function printJson({level, event, message, fields}: LogEntry): string {
  return `${JSON.stringify({level, event, message, ...fields})}\n`;
}

/** As pv writes it, where `50k` means 50 times 1024 bytes. */
function printRate(bytesPerSecond: number): string {
  const units = ['B/s', 'KB/s', 'MB/s', 'GB/s'];
  const power = Math.min(
    units.length - 1,
    Math.max(0, Math.floor(Math.log2(Math.max(1, bytesPerSecond)) / 10)),
  );
  const value = bytesPerSecond / 1024 ** power;
  return `${power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** Every line there is. Programs look for some of these words: contracts/pipe.md section 3 has them. */
export const lines = {
  waiting: (terms: Terms) =>
    info('waiting', `Waiting for ${printCount(terms)} receiver(s) to connect...`, {
      receivers: terms.receivers.max,
    }),
  present: (count: number) => info('present', `${count} receiver(s) already connected.`, {present: count}),
  joined: (present: number, terms: Terms) =>
    info('joined', `A receiver was connected (${present} of ${printCount(terms)}).`, {present}),
  stillWaiting: (present: number, terms: Terms) =>
    info('still_waiting', `Still waiting, ${present} of ${printCount(terms)} receiver(s) connected.`, {
      present,
    }),
  rival: () => info('rival', 'Another sender came for this name.'),
  rivalRefused: () => info('rival_refused', 'It was refused, since you are still here.'),
  streaming: (receivers: number) =>
    info('streaming', `Streaming to ${receivers} receiver(s)...`, {receivers}),
  rate: (receivers: number, bytesPerSecond: number) =>
    info('rate', `Streaming to ${receivers} receiver(s) at ${printRate(bytesPerSecond)}`, {
      receivers,
      bytes_per_second: Math.round(bytesPerSecond),
    }),
  live: () => info('live', 'Live: streaming. Viewers can join at any time.'),
  left: (label: string | null, bytes: number, receivers: number) =>
    info('receiver_left', 'A receiver disconnected.', {label, bytes, receivers}),
  idleSoon: (idleSeconds: number, leftSeconds: number) =>
    info(
      'idle',
      `Nothing has moved for ${idleSeconds} s. The transfer ends in ${leftSeconds} s unless something does.`,
      {idle_seconds: idleSeconds, left_seconds: leftSeconds},
    ),
  uploaded: (bytes: number) => info('uploaded', 'Upload complete.', {bytes}),
  sha256: (hex: string) => info('sha256', `SHA-256: ${hex}`, {sha256: hex}),
  receipt: ({label, bytes, seconds, sha256}: Receipt, number: number) =>
    info(
      'receipt',
      `Receiver ${number}${label === null ? '' : ` (${label})`}: ${bytes} bytes in ${seconds.toFixed(2)} s, ${sha256 === null ? 'then it left' : `SHA-256 ${sha256}`}.`,
      {receiver: number, label, bytes, seconds, sha256},
    ),
  complete: (bytes: number, seconds: number) => info('complete', 'Transfer complete.', {bytes, seconds}),
  liveEnded: (peak: number, bytes: number) =>
    info('live_ended', `Live stream ended (peak ${peak} viewers).`, {peak, bytes}),
  timedOut: () => error('timed_out', 'Timed out waiting for receivers.'),
  failed: (reason: FailureReason) => error('failed', failures[reason], {reason}),
};

const failures: Readonly<Record<FailureReason, string>> = {
  sender_left: 'Transfer failed: the upload broke off.',
  receivers_left: 'Transfer failed: every receiver has left.',
  idle: 'Transfer failed: nothing moved for too long.',
  no_part: `Transfer failed: the multipart body has neither a file nor a field input_text.`,
  capacity: 'Server at maximum active transfer capacity.',
  shutdown: 'Transfer failed: the server is stopping.',
};

function info(event: string, message: string, fields: LogEntry['fields'] = {}): LogEntry {
  return {level: 'info', event, message, fields};
}

function error(event: string, message: string, fields: LogEntry['fields'] = {}): LogEntry {
  return {level: 'error', event, message, fields};
}
