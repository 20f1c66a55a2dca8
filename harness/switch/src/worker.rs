//! The thread of a network. A frame that is handed from thread to thread takes longer than one that is forwarded.

use std::thread::JoinHandle as Thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A thread with a runtime of its own. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    runtime: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<Thread<()>>,
}

impl Worker {
    /// Starts the thread with its first task.
    pub(crate) fn start(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let handle = runtime.handle().clone();
        handle.spawn(task);
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || drop(runtime.block_on(ended)));
        Self {
            runtime: handle,
            end: Some(end),
            thread: Some(thread),
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(task)
    }

    /// Calls a function that registers a socket with the runtime.
    pub(crate) fn within<T>(&self, register: impl FnOnce() -> T) -> T {
        let _guard = self.runtime.enter();
        register()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
