import {AppError} from '../../schemas/errors.ts';

/**
 * Who meets whom on one name. Pure: a transition takes a state and says what comes next and what is to be done about it.
 *
 *   unused ──join──> waiting ──enough are there──> streaming ──uploaded──> delivering ──all have it──> unused
 *                      └──all leave──> unused        └──sender cut, or nobody left──> unused ──┘
 *
 * A live stream starts with its sender, and receivers come and go while it streams.
 */
export type PipeState = Waiting | Streaming | Delivering;

/** What all parties of one name must agree on. */
export interface Terms {
  /** The transfer starts when `max` are there, or with at least `min` when somebody's waiting time ends. */
  readonly receivers: {readonly min: number; readonly max: number};
  readonly isLive: boolean;
}

export type PartyId = number;

interface Parties {
  readonly terms: Terms;
  readonly receivers: readonly PartyId[];
}

export interface Waiting extends Parties {
  readonly phase: 'waiting';
  readonly sender: PartyId | null;
}

/** The sender's bytes come; `receivers` are those that are still there. */
export interface Streaming extends Parties {
  readonly phase: 'streaming';
  readonly sender: PartyId;
}

/** The sender is through; receivers still take what is on its way. */
export interface Delivering extends Parties {
  readonly phase: 'delivering';
}

export type FailureReason = 'sender_left' | 'receivers_left' | 'idle' | 'no_part' | 'capacity' | 'shutdown';

export type Action =
  | {readonly do: 'greet_sender'; readonly sender: PartyId; readonly present: number; readonly terms: Terms}
  | {readonly do: 'announce_receiver'; readonly present: number; readonly terms: Terms}
  | {readonly do: 'start'; readonly sender: PartyId; readonly receivers: readonly PartyId[]}
  | {readonly do: 'add_receiver'; readonly receiver: PartyId}
  | {readonly do: 'drop_receiver'; readonly receiver: PartyId; readonly left: number}
  /** Ends a party that waited for others in vain. */
  | {readonly do: 'expire'; readonly party: PartyId; readonly missing: 'sender' | 'receivers'}
  | {readonly do: 'complete'}
  | {readonly do: 'fail'; readonly reason: FailureReason};

export interface Transition {
  /** Null where the name is free again. */
  readonly state: PipeState | null;
  readonly actions: readonly Action[];
}

export const mostReceivers = 256;

/** Throws PIPE_RECEIVERS_DIFFER, PIPE_KIND_DIFFERS or PIPE_OCCUPIED; the pipe that is there is unharmed then. */
export function joinSender(state: PipeState | null, sender: PartyId, terms: Terms): Transition {
  if (state !== null) {
    if (state.phase !== 'waiting') throw occupied('A transfer is running on this name already');
    if (state.sender !== null) throw occupied('Another sender waits on this name already');
    refuseOtherTerms(state.terms, terms);
  }
  const receivers = state?.receivers ?? [];
  const greeting: Action = {do: 'greet_sender', sender, present: receivers.length, terms};
  const next = startIfFull({phase: 'waiting', terms, sender, receivers});
  return {state: next.state, actions: [greeting, ...next.actions]};
}

/** Throws as `joinSender` does, and PIPE_CAPACITY where a live stream has all the receivers it may have. */
export function joinReceiver(state: PipeState | null, receiver: PartyId, terms: Terms): Transition {
  if (state === null)
    return {state: {phase: 'waiting', terms, sender: null, receivers: [receiver]}, actions: []};
  refuseOtherTerms(state.terms, terms);
  const receivers = [...state.receivers, receiver];
  if (terms.isLive && receivers.length > mostReceivers)
    throw new AppError('PIPE_CAPACITY', `A live stream has at most ${mostReceivers} receivers.`);
  if (state.phase === 'streaming' && terms.isLive)
    return {state: {...state, receivers}, actions: [{do: 'add_receiver', receiver}]};
  if (state.phase !== 'waiting') throw occupied('A transfer is running on this name already');
  if (receivers.length > terms.receivers.max)
    throw occupied(`All ${terms.receivers.max} receivers of this name are there already`);
  const news: Action[] =
    state.sender === null ? [] : [{do: 'announce_receiver', present: receivers.length, terms}];
  const next = startIfFull({...state, receivers});
  return {state: next.state, actions: [...news, ...next.actions]};
}

/** A party's connection is gone. A sender that has sent everything is no longer needed. */
export function leave(state: PipeState, party: PartyId): Transition {
  switch (state.phase) {
    case 'waiting': {
      const sender = state.sender === party ? null : state.sender;
      const receivers = without(state.receivers, party);
      const isReceiver = receivers.length < state.receivers.length;
      const news: Action[] = isReceiver
        ? [{do: 'drop_receiver', receiver: party, left: receivers.length}]
        : [];
      return {state: orUnused({...state, sender, receivers}), actions: news};
    }
    case 'streaming':
      if (state.sender === party) return {state: null, actions: [{do: 'fail', reason: 'sender_left'}]};
      return withoutReceiver(state, party);
    case 'delivering':
      return withoutReceiver(state, party);
  }
}

/** A party's waiting time is over. */
export function waitEnded(state: PipeState, party: PartyId): Transition {
  if (state.phase !== 'waiting') return {state, actions: []};
  const {sender, receivers, terms} = state;
  if (sender !== null && receivers.length >= terms.receivers.min) return start(state, sender);
  const missing = sender === null ? 'sender' : 'receivers';
  const next = leave(state, party);
  return {state: next.state, actions: [{do: 'expire', party, missing}]};
}

/** The sender's last byte came. */
export function uploaded({terms, receivers}: Streaming): Transition {
  return {state: {phase: 'delivering', terms, receivers}, actions: []};
}

/** Every receiver that is still there has taken the last byte. */
export function delivered(_state: Delivering): Transition {
  return {state: null, actions: [{do: 'complete'}]};
}

/** Whatever it was that went wrong, the transfer is over. */
export function fail(_state: Streaming | Delivering, reason: FailureReason): Transition {
  return {state: null, actions: [{do: 'fail', reason}]};
}

function startIfFull(state: Waiting): Transition {
  const {sender, receivers, terms} = state;
  const isFull = terms.isLive || receivers.length === terms.receivers.max;
  return sender !== null && isFull ? start(state, sender) : {state, actions: []};
}

function start({terms, receivers}: Waiting, sender: PartyId): Transition {
  return {state: {phase: 'streaming', terms, sender, receivers}, actions: [{do: 'start', sender, receivers}]};
}

function withoutReceiver(state: Streaming | Delivering, party: PartyId): Transition {
  const receivers = without(state.receivers, party);
  if (receivers.length === state.receivers.length) return {state, actions: []};
  const gone: Action = {do: 'drop_receiver', receiver: party, left: receivers.length};
  if (receivers.length > 0 || (state.terms.isLive && state.phase === 'streaming'))
    return {state: {...state, receivers}, actions: [gone]};
  return {state: null, actions: [gone, {do: 'fail', reason: 'receivers_left'}]};
}

function orUnused(state: Waiting): Waiting | null {
  return state.sender === null && state.receivers.length === 0 ? null : state;
}

function without(parties: readonly PartyId[], party: PartyId): PartyId[] {
  return parties.filter((other) => other !== party);
}

function refuseOtherTerms(here: Terms, wanted: Terms): void {
  if (here.isLive !== wanted.isLive) {
    throw new AppError(
      'PIPE_KIND_DIFFERS',
      `The others on this name ${here.isLive ? 'use live, and this request does not' : 'do not use live, and this request does'}.`,
    );
  }
  if (here.receivers.max === wanted.receivers.max && here.receivers.min === wanted.receivers.min) return;
  throw new AppError(
    'PIPE_RECEIVERS_DIFFER',
    `The number of receivers on this name is n=${printCount(here)}, and this request has n=${printCount(wanted)}.`,
  );
}

/** As `n` is written in a query: `8`, or `2-8`. */
export function printCount({receivers: {min, max}}: Terms): string {
  return min === max ? String(max) : `${min}-${max}`;
}

function occupied(what: string): AppError {
  return new AppError('PIPE_OCCUPIED', `${what}.`);
}
