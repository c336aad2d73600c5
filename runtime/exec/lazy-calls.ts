import {AppError, isStorageFull} from '../../schemas/errors.ts';
import type {Log} from '../platform/log.ts';
import {sendWhole} from './answer-sink.ts';
import type {CallEngine} from './call-engine.ts';
import type {Calls} from './calls.ts';
import type {WebsocketCalls} from './websocket-calls.ts';

export interface LazyCalls {
  readonly calls: Calls;
  readonly websockets: Pick<WebsocketCalls, 'connect'>;
}

/** Calls by an engine that is opened with the first one. Where that fails each call is told so. */
export function createLazyCalls(engine: () => Promise<CallEngine>, log: Log): LazyCalls {
  let opened: CallEngine | null = null;

  async function engineOr(refuse: (error: AppError) => void): Promise<CallEngine | null> {
    try {
      opened = await engine();
      return opened;
    } catch (error) {
      log.error('scripts cannot be run', {error});
      refuse(
        isStorageFull(error)
          ? new AppError('STORAGE_FULL', 'The disk is full. Free some space and try again.', {cause: error})
          : new AppError('INTERNAL_ERROR', 'Something went wrong on our side; the log has the details.'),
      );
      return null;
    }
  }

  const openAndAnswer: Calls['answer'] = async (call, sink) => {
    const headers = ['content-type', 'application/json'];
    const running = await engineOr((error) =>
      sendWhole(sink, error.status, headers, JSON.stringify(error.toBody())),
    );
    await running?.calls.answer(call, sink);
  };

  return {
    calls: {
      answer: (call, sink) => (opened === null ? openAndAnswer(call, sink) : opened.calls.answer(call, sink)),
    },
    websockets: {
      async connect(call, socket) {
        const running = await engineOr((error) => socket.refuse(error));
        await running?.websockets.connect(call, socket);
      },
    },
  };
}
