import {errorCatalogue} from '../../schemas/errors.ts';
import {systemClock} from '../platform/clock.ts';
import {releaseMemory} from '../platform/memory.ts';
import {connectParent, forbidProcessWideCalls, surviveStrayErrors} from '../platform/parent-process.ts';
import {whenQuiet} from '../platform/quiet.ts';
import {openSlots} from '../platform/shared-slots.ts';
import {addToEveryDatabase} from '../platform/sqlite-functions.ts';
import type {Call} from './call.ts';
import {type CallContext, createCurrentCall} from './call-context.ts';
import {ExchangeNames} from './call-names.ts';
import {createCallOutput} from './call-output.ts';
import {type HostedExchange, serveCalls} from './call-server.ts';
import {dateTrunc} from './date-trunc.ts';
import {createFreshGlobals} from './fresh-globals.ts';
import type {HostMessage, OrderMessage} from './host-messages.ts';
import {reportFailure, type ScriptHost} from './hosted-call.ts';
import type {Reply} from './reply.ts';
import {runCall} from './run-script.ts';
import {runsOn, sendAnswer} from './script-answer.ts';
import {defineScriptConsole} from './script-console.ts';
import {createScriptEnvironment} from './script-environment.ts';
import {createScriptLoader} from './script-loader.ts';
import {defineScriptNames} from './script-names.ts';
import {isRequestBodyError, readBody} from './script-request.ts';

/** What was compiled to start, and for calls that do not come again, is given back after so long without one. */
const quietMs = 10_000;

/**
 * Runs the scripts of one deployment for the runtime that started us. Arguments: the path that our sockets begin
 * with, the scripts directory. Ends when the runtime ends.
 */
export async function scriptHostMain([socketPath, directory]: readonly string[]): Promise<void> {
  if (socketPath === undefined || directory === undefined)
    throw new Error('usage: script-host <socket> <scripts directory>');
  const parent = connectParent((message) => void obey(message as OrderMessage));
  const send = (message: HostMessage) => parent.send(message);
  const current = createCurrentCall();
  defineScriptConsole(current);
  surviveStrayErrors((error) => console.error('A script left an error behind:', error));
  forbidProcessWideCalls();
  addToEveryDatabase({name: 'date_trunc', call: (unit, time) => dateTrunc(unit, time), busyTimeoutMs: 5000});
  const environment = createScriptEnvironment(directory, current);
  defineScriptNames(current);
  const host: ScriptHost = {
    directory,
    loader: createScriptLoader(directory),
    environment,
    globals: createFreshGlobals(current),
    slots: openSlots(`${socketPath}.slots`),
    current,
    shared: {},
    send,
    giveUp: parent.giveUp,
  };
  const noteCall = whenQuiet({clock: systemClock, quietMs, act: releaseMemory});
  noteCall();
  serveCalls(socketPath, (exchange) => {
    noteCall();
    void answer(host, exchange);
  });
  const obey = async (message: OrderMessage) => {
    if (message.type === 'ping') send({type: 'pong', ping: message.ping});
    else if (message.type === 'sockets') {
      const {serveScriptSockets} = await import('./script-sockets.ts');
      serveScriptSockets(`${socketPath}.ws`, host);
      send({type: 'sockets_ready'});
    } else {
      const {applySharedState} = await import('./shared-state.ts');
      send({type: 'shared_state', ask: message.ask, answer: applySharedState(host.shared, message.request)});
    }
  };
  send({type: 'ready'});
}

async function answer(host: ScriptHost, exchange: HostedExchange): Promise<void> {
  const {call, reply} = exchange;
  // The runtime may have given the call to another host meanwhile.
  if (!host.slots.start(call.slot)) return;
  const output = createCallOutput(call.executionId, host.send);
  reply.onOver(output.flush);
  let isRunning = true;
  let hasBegun = false;
  const end = () => {
    if (isRunning) host.slots.end(call.slot);
    isRunning = false;
  };
  try {
    const parsed = call.rawBody ? null : await readBody(exchange);
    const environment = await host.environment.read(call.environmentFiles);
    const names = new ExchangeNames(exchange, parsed, host.shared);
    const context: CallContext = {call, names, output, environment};
    hasBegun = true;
    await host.current.run(context, async () => {
      const value = await runCall({host, call, names, exchange});
      output.flush();
      // The runtime may give the slot to another call as soon as it has the whole answer.
      if (!runsOn(value)) end();
      await sendAnswer(reply, value);
    });
  } catch (error) {
    try {
      output.flush();
      end();
      // Who leaves in the middle of the body leaves nothing to tell.
      if (hasBegun || !reply.isOver) fail(host, call, reply, error);
    } catch {
      host.giveUp();
    }
  } finally {
    end();
  }
}

function fail(host: ScriptHost, call: Call, reply: Reply, error: unknown): void {
  const {stack, message, ...at} = reportFailure(host, call, error);
  if (reply.isHeadSent) {
    // Half an answer is out; a cut connection is the only honest end.
    reply.breakOff();
    return;
  }
  const isCallersFault = isRequestBodyError(error);
  const code = isCallersFault ? 'INVALID_BODY' : 'SCRIPT_FAILED';
  for (const name of reply.headerNames) reply.removeHeader(name);
  reply.markFailed();
  reply.status = errorCatalogue[code].status;
  reply.setHeader('content-type', 'application/json');
  reply.sendWhole(JSON.stringify({code, message: isCallersFault ? error.message : message, details: at}));
}
