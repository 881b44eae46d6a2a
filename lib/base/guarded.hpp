// Data that threads share, with the mutex that guards it: nobody reaches the data without the lock.
#pragma once

#include <mutex>
#include <utility>

namespace ubf {

template<typename T>
class Guarded {
    template<typename U>
    class Access {
      public:
        U& operator*() const { return data_; }
        U* operator->() const { return &data_; }
        // For a condition variable, or to let go of the lock for a while.
        std::unique_lock<std::mutex>& mutex() { return lock_; }

      private:
        friend class Guarded;
        Access(std::mutex& mutex, U& data)
          : lock_(mutex)
          , data_(data) {}

        std::unique_lock<std::mutex> lock_;
        U& data_;
    };

  public:
    template<typename... Args>
    explicit Guarded(Args&&... args)
      : data_{std::forward<Args>(args)...} {}

    // Holds the lock as long as the returned value lives.
    Access<T> lock() { return {mutex_, data_}; }
    Access<const T> lock() const { return {mutex_, data_}; }

  private:
    mutable std::mutex mutex_;
    T data_;
};

} // namespace ubf
