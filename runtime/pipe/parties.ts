import type {AppError} from '../../schemas/errors.ts';
import type {ByteSink, ByteSource} from '../platform/byte-flow.ts';
import type {Terms} from './rendezvous.ts';
import type {LogEntry} from './transfer-log.ts';

/** What a sender says of its bytes, as it said it: whoever passes it on makes it safe. */
export interface Metadata {
  readonly contentType: string | null;
  readonly contentDisposition: string | null;
  /** Null where the sender did not say, or where only a part of its body is sent. */
  readonly lengthBytes: number | null;
  /** `X-Piping` and `X-Hoody-Pipe`, by lower-case name. */
  readonly notes: ReadonlyMap<string, string>;
}

/** One who brings bytes. After `close` nothing more is called. */
export interface Sender {
  readonly source: ByteSource;
  readonly metadata: Metadata;
  /** Of a multipart body; the first file in it is what is sent. */
  readonly boundary: string | null;
  /** Before the first line: the sender has its place. */
  accept(transferId: string): void;
  say(entry: LogEntry): void;
  close(): void;
}

/** One who takes them. Either `begin` or `refuse` is called, at most once. */
export interface Receiver {
  /** What it calls itself. */
  readonly label: string | null;
  begin(metadata: Metadata, transferId: string): ByteSink;
  refuse(error: AppError): void;
}

export interface JoinOptions {
  readonly terms: Terms;
  /** The first party of a name sets it, all others must have the same; null is a name without key. */
  readonly key: string | null;
  readonly waitMs: number;
  readonly sha256: boolean;
}

export interface SendOptions extends JoinOptions {
  /** The sender's own choice; null for a random one. */
  readonly transferId: string | null;
  /** Null for as fast as the receivers are. */
  readonly bytesPerSecond: number | null;
  /** What becomes of a receiver that takes nothing for a while: everybody waits for it, or it is dropped. */
  readonly slow: 'wait' | 'drop';
  readonly idleMs: number;
  /** A line so often while it waits; null for none. */
  readonly heartbeatMs: number | null;
  /** Ends the log with a line for each receiver. */
  readonly receipts: boolean;
}

/** Stands for a party's place; `left` gives it up, and does nothing once the party's end has come. */
export interface Place {
  left(): void;
}
