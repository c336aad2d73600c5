import {createHash, timingSafeEqual} from 'node:crypto';
import {AppError} from '../../schemas/errors.ts';
import type {Duct} from '../platform/byte-duct.ts';
import type {ByteSource} from '../platform/byte-flow.ts';
import type {Clock} from '../platform/clock.ts';
import type {FarPump} from '../platform/far-pumps.ts';
import {openPart} from './multipart.ts';
import {paced} from './pace.ts';
import type {JoinOptions, Metadata, Place, Receiver, Sender, SendOptions} from './parties.ts';
import {
  type Action,
  delivered,
  type FailureReason,
  fail,
  joinReceiver,
  joinSender,
  leave,
  type PartyId,
  type PipeState,
  type Transition,
  uploaded,
  waitEnded,
} from './rendezvous.ts';
import {idleSnapshot, type Snapshot, snapshotOf} from './snapshot.ts';
import {createTransfer, type Transfer} from './transfer.ts';
import {lines, type Receipt} from './transfer-log.ts';

/** One name while somebody is on it: does what the rendezvous says. */
export interface PipeName {
  readonly transferId: string | null;
  /** Null until the first byte may move. */
  readonly transfer: Transfer | null;
  /** Throws PIPE_KEY_WRONG. */
  checkKey(key: string | null): void;
  send(sender: Sender, options: SendOptions, transferId: string): Place;
  receive(receiver: Receiver, options: JoinOptions): Place;
  /**
   * Resolves when a sender that waits has turned out to be gone, or after a moment. Nothing is read from it while it waits,
   * so only writing to it tells.
   */
  probeSender(): Promise<void>;
  snapshot(): Snapshot;
  /** Ends everybody who waits, because the server stops. */
  endWaiting(): void;
  endStreaming(): void;
}

export interface PipeNameContext {
  readonly clock: Clock;
  readonly duct: () => Duct | null;
  readonly farPump: FarPump;
  readonly hasRoomToStart: () => boolean;
  readonly changed: () => void;
  /** The name is free; `reason` is null where a transfer was complete, or where there was none. */
  readonly ended: (last: Snapshot, transfer: Transfer | null, reason: FailureReason | null) => void;
}

/** A form's fields before its file may take so long. */
const partTimeoutMs = 30_000;
/** So long the news of a broken connection may take to come back. */
const probeMs = 250;
const probeStepMs = 20;
/** A reason that nobody reads: without one the engine makes an error with a stack, which costs more than the rest. */
const noLonger = 'no longer awaited';

export function createPipeName(key: string | null, context: PipeNameContext): PipeName {
  const {clock} = context;
  let state: PipeState | null = null;
  let nextParty: PartyId = 1;
  let sending: {readonly sender: Sender; readonly options: SendOptions; readonly id: string} | null = null;
  let transfer: Transfer | null = null;
  let wantsSha256 = false;
  const receivers = new Map<PartyId, Receiver>();
  /** Aborted when a party's waiting is over, in whatever way. */
  const waits = new Map<PartyId, AbortController>();
  const departed: Receipt[] = [];
  let last: Snapshot | null = null;

  function apply(transition: Transition): void {
    if (state !== null && transition.state === null) last = snapshot(state);
    state = transition.state;
    for (const action of transition.actions) perform(action);
    if (state === null) over(null);
    else context.changed();
  }

  function perform(action: Action): void {
    const sender = sending?.sender;
    switch (action.do) {
      case 'greet_sender':
        greet(action.present, action.terms.isLive);
        return;
      case 'announce_receiver':
        sender?.say(lines.joined(action.present, action.terms));
        return;
      case 'start':
        start();
        return;
      case 'add_receiver':
        addReceiver(action.receiver);
        return;
      case 'drop_receiver':
        dropReceiver(action.receiver, action.left);
        return;
      case 'expire':
        expire(action.party, action.missing);
        return;
      case 'complete':
        complete();
        return;
      case 'fail':
        failWith(action.reason);
        return;
    }
  }

  function greet(present: number, isLive: boolean): void {
    if (sending === null) return;
    const {sender, options, id} = sending;
    sender.accept(id);
    if (isLive) return;
    sender.say(lines.waiting(options.terms));
    if (present > 0) sender.say(lines.present(present));
  }

  function start(): void {
    if (sending === null || state === null) return;
    const {sender} = sending;
    if (!context.hasRoomToStart()) failNow('capacity');
    else if (sender.boundary === null) startTransfer(sender.metadata, sender.source);
    else findPart(sender, sender.boundary);
    // After the first bytes, which need not wait for it.
    endWaits();
  }

  function findPart(sender: Sender, boundary: string): void {
    const found = new AbortController();
    clock.sleep(partTimeoutMs, {signal: found.signal}).then(
      () => failNow('no_part'),
      () => {
        // It was found or is known to be missing.
      },
    );
    openPart(sender.source, boundary, {
      found(head, source) {
        found.abort(noLonger);
        startTransfer({...sender.metadata, ...head, lengthBytes: null}, source);
      },
      missing() {
        found.abort(noLonger);
        failNow('no_part');
      },
    });
  }

  function startTransfer(metadata: Metadata, source: ByteSource): void {
    if (sending === null || state?.phase !== 'streaming') return;
    const {sender, options, id} = sending;
    const {bytesPerSecond} = options;
    const started = createTransfer({
      id,
      metadata: options.terms.isLive ? {...metadata, lengthBytes: null} : metadata,
      source: bytesPerSecond === null ? source : paced(source, bytesPerSecond, clock),
      sha256: wantsSha256 || options.receipts,
      idleMs: options.idleMs,
      clock,
      mayBeJoined: options.terms.isLive,
      duct: context.duct,
      farPump: context.farPump,
      events: {
        uploaded() {
          if (state?.phase !== 'streaming') return;
          if (!options.terms.isLive) sender.say(lines.uploaded(started.bytes));
          apply(uploaded(state));
        },
        delivered() {
          if (state?.phase === 'delivering') apply(delivered(state));
        },
        broken: () => failNow('sender_left'),
        slow(party) {
          if (options.slow === 'drop' && state !== null) apply(leave(state, party));
        },
        idleSoon: (leftMs) =>
          sender.say(lines.idleSoon(Math.round((options.idleMs - leftMs) / 1000), Math.round(leftMs / 1000))),
        idle: () => failNow('idle'),
        rate(rate) {
          if (bytesPerSecond !== null && state !== null) sender.say(lines.rate(state.receivers.length, rate));
        },
      },
    });
    transfer = started;
    sender.say(options.terms.isLive ? lines.live() : lines.streaming(state.receivers.length));
    for (const party of state.receivers) addReceiver(party);
    started.start();
  }

  /** While a form's fields are read there is no transfer yet. */
  function addReceiver(party: PartyId): void {
    const receiver = receivers.get(party);
    if (receiver !== undefined) transfer?.add(party, receiver);
  }

  function dropReceiver(party: PartyId, left: number): void {
    const label = receivers.get(party)?.label ?? null;
    receivers.delete(party);
    const tell = (receipt: Receipt | null) => {
      if (receipt !== null && sending?.options.receipts) departed.push(receipt);
      sending?.sender.say(lines.left(label, receipt?.bytes ?? 0, left));
    };
    if (transfer === null) tell(null);
    else transfer.remove(party, tell);
  }

  function expire(party: PartyId, missing: 'sender' | 'receivers'): void {
    waits.delete(party);
    const receiver = receivers.get(party);
    receivers.delete(party);
    receiver?.refuse(new AppError('PIPE_TIMED_OUT', `Timed out waiting for ${missing}.`));
    if (receiver !== undefined) {
      if (state !== null) sending?.sender.say(lines.left(receiver.label, 0, state.receivers.length));
      return;
    }
    sending?.sender.say(lines.timedOut());
    sending?.sender.close();
    sending = null;
  }

  function complete(): void {
    if (sending === null || transfer === null) return;
    const {sender, options} = sending;
    const {bytes, seconds, peak} = transfer;
    const sha256 = transfer.sha256();
    const receipts = [...departed, ...transfer.complete()];
    if (wantsSha256 && sha256 !== null) sender.say(lines.sha256(sha256));
    if (options.receipts)
      for (const [index, receipt] of receipts.entries()) sender.say(lines.receipt(receipt, index + 1));
    sender.say(options.terms.isLive ? lines.liveEnded(peak, bytes) : lines.complete(bytes, seconds));
    sender.close();
    sending = null;
  }

  function failWith(reason: FailureReason): void {
    const receipts = [...departed, ...(transfer?.cut() ?? [])];
    // Who has not seen a head yet can still be told.
    if (transfer === null) for (const receiver of receivers.values()) receiver.refuse(refusalFor(reason));
    if (sending !== null) {
      const {sender, options} = sending;
      if (options.receipts)
        for (const [index, receipt] of receipts.entries()) sender.say(lines.receipt(receipt, index + 1));
      sender.say(lines.failed(reason));
      sender.close();
    }
    sending = null;
    over(reason);
  }

  function failNow(reason: FailureReason): void {
    if (state === null || state.phase === 'waiting') return;
    apply(fail(state, reason));
  }

  /** Once. */
  function over(reason: FailureReason | null): void {
    if (last === null) return;
    const final = last;
    last = null;
    endWaits();
    receivers.clear();
    context.ended(final, transfer, reason);
  }

  function endWait(party: PartyId): void {
    waits.get(party)?.abort(noLonger);
    waits.delete(party);
  }

  function endWaits(): void {
    for (const party of [...waits.keys()]) endWait(party);
  }

  function place(party: PartyId, waitMs: number): Place {
    if (state?.phase === 'waiting') {
      const wait = new AbortController();
      waits.set(party, wait);
      clock.sleep(waitMs, {signal: wait.signal}).then(
        () => {
          if (state !== null) apply(waitEnded(state, party));
        },
        () => {
          // The party has left, or the transfer has begun.
        },
      );
    }
    return {
      left() {
        endWait(party);
        if (state === null) return;
        const isSender = state.phase === 'waiting' && state.sender === party;
        const next = leave(state, party);
        if (isSender) sending = null;
        apply(next);
      },
    };
  }

  async function heartbeat(party: PartyId, sender: Sender, everyMs: number): Promise<void> {
    const isWaiting = () => state?.phase === 'waiting' && state.sender === party;
    while (isWaiting()) {
      await clock.sleep(everyMs);
      if (state !== null && isWaiting()) sender.say(lines.stillWaiting(state.receivers.length, state.terms));
    }
  }

  function snapshot(of: PipeState): Snapshot {
    const labels = [...receivers.values()].map(({label}) => label);
    return snapshotOf({state: of, transfer, transferId: sending?.id ?? null, labels});
  }

  return {
    get transferId() {
      return sending?.id ?? null;
    },
    get transfer() {
      return transfer;
    },
    checkKey(given) {
      if (given === key || (given !== null && key !== null && isSameText(given, key))) return;
      throw new AppError('PIPE_KEY_WRONG', 'This name is used with another key, or without one.');
    },
    send(sender, options, id) {
      const party = nextParty++;
      const transition = joinSender(state, party, options.terms);
      sending = {sender, options, id};
      wantsSha256 ||= options.sha256;
      apply(transition);
      if (options.heartbeatMs !== null) void heartbeat(party, sender, options.heartbeatMs);
      return place(party, options.waitMs);
    },
    receive(receiver, options) {
      const party = nextParty++;
      const transition = joinReceiver(state, party, options.terms);
      receivers.set(party, receiver);
      wantsSha256 ||= options.sha256;
      apply(transition);
      return place(party, options.waitMs);
    },
    async probeSender() {
      if (state?.phase !== 'waiting' || sending === null) return;
      const {sender} = sending;
      const isThere = () => sending?.sender === sender;
      // Through a relay the first line only breaks the far connection, and the second one shows that here.
      for (const line of [lines.rival(), lines.rivalRefused()]) {
        if (isThere()) sender.say(line);
        for (let waitedMs = 0; waitedMs < probeMs && isThere(); waitedMs += probeStepMs)
          await clock.sleep(probeStepMs);
      }
    },
    snapshot: () => (state === null ? (last ?? idleSnapshot) : snapshot(state)),
    endWaiting() {
      if (state?.phase !== 'waiting') return;
      last = snapshot(state);
      state = null;
      failWith('shutdown');
    },
    endStreaming: () => failNow('shutdown'),
  };
}

function refusalFor(reason: FailureReason): AppError {
  switch (reason) {
    case 'no_part':
      return new AppError('PIPE_PART_MISSING', 'Transfer failed: the sender brought no file.');
    case 'capacity':
      return new AppError('PIPE_CAPACITY', 'Server at maximum active transfer capacity.');
    case 'shutdown':
      return new AppError('SHUTTING_DOWN', 'The server is stopping.');
    default:
      return new AppError('PIPE_PART_MISSING', 'Transfer failed: the upload broke off.');
  }
}

/** Takes the same time wherever the difference is. */
function isSameText(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
