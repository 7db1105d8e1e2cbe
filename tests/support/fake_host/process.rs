//! What all VMs of one Envoy process share: shared data, metrics, the clock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One Envoy process, with one `vm_id`. Clones are the same process.
#[derive(Clone, Default)]
pub struct Process(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// `None`: `portcullis`.
    vm_id: Option<String>,
    /// Clusters that Envoy does not have.
    missing: HashSet<String>,
    data: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    version: u32,
    metrics: BTreeMap<String, u64>,
    now: u64,
    /// The clock that nobody sets.
    steady: u64,
    random: u64,
    environment: Vec<(String, String)>,
}

impl Process {
    /// A process whose clock stands at `now`, in unix nanoseconds.
    pub fn at(now: u64) -> Self {
        let process = Self::default();
        process.set_now(now);
        process
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the clock, in unix nanoseconds. The one that nobody sets goes on as ever.
    pub fn set_now(&self, now: u64) {
        self.state().now = now;
    }

    /// Sets the environment that VMs start with from now on: what `host_env_keys` lets through.
    pub fn set_environment<N: Into<String>>(&self, variables: Vec<(N, String)>) {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value));
        self.state().environment = variables.collect();
    }

    /// Every variable as `NAME=value` with a zero byte behind it, as WASI has them.
    pub(super) fn environment(&self) -> Vec<Vec<u8>> {
        let state = self.state();
        let variables = state.environment.iter();
        variables.map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
    }

    /// Moves the clock on.
    pub fn advance(&self, nanos: u64) {
        let mut state = self.state();
        state.now = state.now.saturating_add(nanos);
        state.steady += nanos;
    }

    /// The clock that nobody sets, in nanoseconds since the process began.
    pub(super) fn steady(&self) -> u64 {
        self.state().steady
    }

    /// The clock, in unix nanoseconds.
    pub fn now(&self) -> u64 {
        self.state().now
    }

    /// Gives the process another `vm_id`, `portcullis` being the one it starts with.
    pub fn set_vm_id(&self, id: &str) {
        self.state().vm_id = Some(id.to_owned());
    }

    pub(super) fn vm_id(&self) -> String {
        self.state().vm_id.clone().unwrap_or_else(|| "portcullis".to_owned())
    }

    /// Takes a cluster away from Envoy. It has all others.
    pub fn lose_cluster(&self, name: &str) {
        self.state().missing.insert(name.to_owned());
    }

    /// Gives Envoy a cluster back.
    pub fn regain_cluster(&self, name: &str) {
        self.state().missing.remove(name);
    }

    pub(super) fn has_cluster(&self, name: &str) -> bool {
        !self.state().missing.contains(name)
    }

    /// Bytes that differ from call to call and are the same in every run.
    pub(super) fn random(&self, size: usize) -> Vec<u8> {
        let mut state = self.state();
        let mut next = || {
            // SplitMix64: the constants are its published ones.
            state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)).to_le_bytes()[0]
        };
        (0..size).map(|_| next()).collect()
    }

    /// The value of a key of shared data, and its version.
    pub fn shared(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.state().data.get(key).cloned()
    }

    /// Sets a key as Envoy does: a version of 0, or an absent key, sets it in any case. False: the
    /// version was another one.
    pub fn set_shared(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        let mut state = self.state();
        if let Some((_, held)) = state.data.get(key)
            && version != 0
            && *held != version
        {
            return false;
        }
        state.version = state.version.wrapping_add(1).max(1);
        let version = state.version;
        state.data.insert(key.to_vec(), (value.to_vec(), version));
        true
    }

    /// Every key of shared data, sorted.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<_> = self.state().data.keys().cloned().collect();
        keys.sort();
        keys
    }

    /// Every metric by its full name.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        self.state().metrics.clone()
    }

    /// One metric, 0 if nobody defined it.
    pub fn metric(&self, name: &str) -> u64 {
        self.state().metrics.get(name).copied().unwrap_or(0)
    }

    pub(super) fn define(&self, name: &str) {
        self.state().metrics.entry(name.to_owned()).or_insert(0);
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(u64) -> u64) {
        if let Some(value) = self.state().metrics.get_mut(name) {
            *value = change(*value);
        }
    }
}
